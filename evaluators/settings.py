"""Frozen settings read from YAML, JSON or flags, with mistakes told in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from searchspaces import NasError, unknown_name


class Settings(BaseModel):
    """Base of every settings class: immutable, strict about unknown keys, no silent conversion, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=BaseModel)


def parse_settings(cls: type[S], values: Mapping[str, Any], where: str = "") -> S:
    """Return the settings `values` describe.

    Args:
        where: what the keys belong to, for messages, such as ``"length"``.

    Raises:
        NasError: an unknown key (close names are listed) or a value that cannot be taken; all keys are named dotted.
    """
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise NasError(_sentence(error, cls, where)) from error


def _sentence(error: ValidationError, cls: type[BaseModel], where: str) -> str:
    """Put the first problem of a validation into words."""
    problem = error.errors()[0]
    place = [str(step) for step in problem["loc"]]
    dotted = ".".join(([where] if where else []) + place)
    if problem["type"] == "extra_forbidden":
        owner: Any = cls
        for step in place[:-1]:
            field = owner.model_fields.get(step) if hasattr(owner, "model_fields") else None
            owner = field.annotation if field is not None else None
        known = owner.model_fields if hasattr(owner, "model_fields") else cls.model_fields
        prefix = dotted.rpartition(".")[0]
        return str(unknown_name(f"key of {prefix}" if prefix else "key", place[-1], known))
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{dotted}={problem['input']!r} cannot be taken: it should be {message}"

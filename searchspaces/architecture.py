"""The immutable description of one network, and its JSON form, which everything else reads."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from searchspaces.dimension import Value
from searchspaces.errors import NasError, unknown_name

FORMAT = "nas.architecture/1"
_KEYS = ("format", "space", "choices", "image_size", "in_channels", "num_classes", "provenance")


@dataclass(frozen=True)
class Architecture:
    """One network of one search space; two descriptions of the same network are equal and hash alike.

    Build it through `SearchSpace.architecture` or `Architecture.read`, which validate; the constructor does not.

    Args:
        space: name of the search space.
        choices: active dimension name to value, in canonical form.
        image_size: side of the square input, pixels.
        in_channels: channels of the input.
        num_classes: outputs of the classifier.
        provenance: where it came from; never changes what is built and takes no part in equality.
    """

    space: str
    choices: Mapping[str, Value]
    image_size: int = 224
    in_channels: int = 3
    num_classes: int = 1000
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", MappingProxyType(dict(self.choices)))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        sizes = (self.image_size, self.in_channels, self.num_classes)
        return hash((self.space, frozenset(self.choices.items()), sizes))

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy does not travel to worker processes
        plain = (dict(self.choices), self.image_size, self.in_channels, self.num_classes, dict(self.provenance))
        return (Architecture, (self.space, *plain))

    @property
    def key(self) -> str:
        """A canonical text of everything that is built; equal networks have equal keys."""
        return json.dumps(self.to_dict(provenance=False), sort_keys=True, separators=(",", ":"))

    def replace(self, *, provenance: Mapping[str, Any] | None = None, **changes: Any) -> Architecture:
        """Return a validated copy with other `choices` (merged), `image_size`, `in_channels` or `num_classes`.

        >>> from searchspaces import get_space
        >>> get_space("asvit").smallest().replace(image_size=64, choices={"heads": 32}).choices["heads"]
        32
        """
        from searchspaces import get_space

        choices = {**self.choices, **changes.pop("choices", {})}
        size = {"image_size": self.image_size, "in_channels": self.in_channels, "num_classes": self.num_classes}
        if unknown := set(changes) - set(size):
            raise unknown_name("field", sorted(unknown)[0], size)
        built = get_space(self.space).architecture(choices, **{**size, **changes})
        return dataclasses.replace(built, provenance=self.provenance if provenance is None else provenance)

    def to_dict(self, provenance: bool = True) -> dict[str, Any]:
        """Return the plain form that `from_dict` reads."""
        plain: dict[str, Any] = {
            "format": FORMAT,
            "space": self.space,
            "choices": dict(self.choices),
            "image_size": self.image_size,
            "in_channels": self.in_channels,
            "num_classes": self.num_classes,
        }
        if provenance and self.provenance:
            plain["provenance"] = dict(self.provenance)
        return plain

    @classmethod
    def from_dict(cls, plain: object) -> Architecture:
        """Return the architecture a plain form describes, validated strictly.

        Raises:
            NasError: unknown or missing keys, wrong types, or values outside the space.
        """
        from searchspaces import get_space

        if not isinstance(plain, dict):
            raise NasError(f"an architecture is a JSON object, not {type(plain).__name__}")
        for key in plain:
            if key not in _KEYS:
                raise unknown_name("key", key, _KEYS)
        for key in ("format", "space", "choices"):
            if key not in plain:
                raise NasError(f"the key {key!r} is missing; an architecture has {', '.join(_KEYS)}")
        if plain["format"] != FORMAT:
            raise NasError(f"format={plain['format']!r} cannot be read; this version reads {FORMAT!r}")
        if not isinstance(plain["space"], str):
            raise NasError(f"space={plain['space']!r} must be the name of a search space")
        for key in ("choices", "provenance"):
            if not isinstance(plain.get(key, {}), dict):
                raise NasError(f"{key}={plain[key]!r} must be a JSON object")
        sizes = {key: plain[key] for key in ("image_size", "in_channels", "num_classes") if key in plain}
        built = get_space(plain["space"]).architecture(plain["choices"], **sizes)
        return dataclasses.replace(built, provenance=plain.get("provenance", {}))

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Return the architecture in a JSON text.

        Raises:
            NasError: if the text is not JSON (NaN and Infinity are not) or not a valid architecture.
        """

        def refuse(constant: str) -> None:
            raise NasError(f"{constant} is not a value an architecture can have")

        try:
            plain = json.loads(text, parse_constant=refuse)
        except json.JSONDecodeError as error:
            raise NasError(f"not a JSON document: {error}") from error
        return cls.from_dict(plain)

    @classmethod
    def read(cls, path: str | Path) -> Architecture:
        """Return the architecture in a file.

        Raises:
            NasError: if the file cannot be read or is not a valid architecture; the message names the file.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise NasError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise NasError(f"{path}: not a text file") from error
        except NasError as error:
            raise NasError(f"{path}: {error}") from error

    def to_json(self) -> str:
        """Return the JSON text, for people and programs."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def write(self, path: str | Path) -> None:
        """Write the JSON file whole or not at all."""
        write_text(path, self.to_json())


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file through a temporary neighbour and a rename, so that no reader ever sees half of it.

    Raises:
        NasError: if the file cannot be written (no such folder, no permission, a full disk); what stood there
            before stays as it was.
    """
    path = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise NasError(f"{path}: cannot be written: {error.strerror}") from error

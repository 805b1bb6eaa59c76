"""Settings given on the command line as dotted keys: ``metrics.length.repeats=3``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from searchspaces import NasError


def parse_overrides(texts: Sequence[str]) -> dict[str, Any]:
    """Return the nested mapping of KEY=VALUE texts; values are read as YAML.

    >>> parse_overrides(["a.b=1", "a.c=[x, y]", "d=true"])
    {'a': {'b': 1, 'c': ['x', 'y']}, 'd': True}

    Raises:
        NasError: if a text has no key, or a key is both a value and a mapping.
    """
    nested: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        steps = key.strip().split(".")
        if not equals or not all(steps):
            raise NasError(f"set={text!r} is not of the form KEY=VALUE, such as length.repeats=3")
        place: Any = nested
        for step in steps[:-1]:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise NasError(f"set={text!r}: {step} is given a value elsewhere and cannot hold {steps[-1]}")
        try:
            place[steps[-1]] = _number(yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise NasError(f"set={text!r}: {value!r} cannot be read as a value") from error
    return nested


def _number(value: Any) -> Any:
    """Return a text such as 1e-5, which YAML takes for text because it wants 1.0e-5, as the number it is."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    return value

"""The small language of flags: objectives, constraints, numbers with suffixes and durations."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from searchspaces import NasError

_SUFFIX = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}
_CONSTRAINT = re.compile(r"^\s*([A-Za-z_][\w@.:-]*)\s*(<=|>=|==|<|>|=)\s*(\S+)\s*$")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(d|h|min|m|s)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0}
_COMPARE: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Objective:
    """A metric to push in one direction."""

    metric: str
    direction: Literal["maximize", "minimize"]

    @property
    def sign(self) -> int:
        """+1 to maximise, -1 to minimise: times the value, larger is better."""
        return 1 if self.direction == "maximize" else -1

    def __str__(self) -> str:
        return f"{self.direction} {self.metric}"


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric, such as ``params<=30e6``."""

    metric: str
    comparison: Literal["<=", ">="]
    bound: float

    def holds(self, value: float) -> bool:
        """Whether the value meets the bound."""
        return _COMPARE[self.comparison](value, self.bound)

    def violation(self, value: float) -> float:
        """Return by how much the value misses the bound; 0 or negative where it holds."""
        return value - self.bound if self.comparison == "<=" else self.bound - value

    def __str__(self) -> str:
        return f"{self.metric}{self.comparison}{self.bound:g}"


def parse_number(text: str, where: str) -> float:
    """Return the number in a text such as ``30e6``, ``30M`` or ``1.8G``.

    Raises:
        NasError: if it is no finite number.
    """
    match = re.fullmatch(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)([kKMGB]?)", text)
    try:
        value = float(match[1]) * _SUFFIX[match[2]] if match else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise NasError(f"{where}: {text!r} is not a number; write 30e6, 30M or 1.8G")
    return value


def parse_constraint(text: str, where: str = "constraint") -> Constraint:
    """Return the constraint in a text such as ``params<=30e6``.

    >>> str(parse_constraint("macs <= 1.8G"))
    'macs<=1.8e+09'

    Raises:
        NasError: another form, an unknown metric, a bound that is no number or, on a size, not positive.
    """
    from evaluators import metrics

    match = _CONSTRAINT.match(text)
    if match is None or match[2] not in _COMPARE:
        raise NasError(f"{where}={text!r} is not of the form METRIC<=NUMBER or METRIC>=NUMBER, such as 'params<=30e6'")
    metric, comparison, number = match.groups()
    static = metrics.get(metric).static
    bound = parse_number(number, f"{where}={text!r}")
    if static and bound <= 0:
        raise NasError(f"{where}={text!r}: {metric} is a size, so the bound must be positive")
    return Constraint(metric, "<=" if comparison == "<=" else ">=", bound)


def parse_duration(text: str, where: str = "budget") -> float:
    """Return seconds from a text such as ``90s``, ``10m``, ``1h30m`` or a bare number of seconds.

    Raises:
        NasError: another form, or no time at all.
    """
    parts = _DURATION.findall(text)
    seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in parts)
    if "".join(amount + unit for amount, unit in parts) != text.replace(" ", ""):
        seconds = float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0
    if seconds <= 0:
        raise NasError(f"{where}={text!r} is not a duration; write 90s, 10m or 1h30m")
    return seconds

"""One evaluated architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evaluators import Measurement
from searchspaces import Architecture

Phase = Literal["search", "scale"]


@dataclass(frozen=True)
class Trial:
    """An architecture with what was measured of it.

    Args:
        number: position in its phase, from 0.
        phase: the seed search, or the scaling of its winner.
        measurements: metric name to measurement.
        attributes: whatever else belongs to the record, plain JSON values.
    """

    number: int
    phase: Phase
    architecture: Architecture
    measurements: Mapping[str, Measurement]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failure(self) -> str | None:
        """The first reason why a value is missing, or None."""
        for name, measurement in self.measurements.items():
            if measurement.failure is not None:
                return f"{name}: {measurement.failure}"
        return None

    def value(self, metric: str) -> float:
        """Return the value of a metric.

        Raises:
            KeyError: if it was not measured or failed.
        """
        value = self.measurements[metric].value
        if value is None:
            raise KeyError(f"{metric} failed: {self.measurements[metric].failure}")
        return value

    def values(self) -> dict[str, float]:
        """Return every value that is there."""
        return {name: m.value for name, m in self.measurements.items() if m.value is not None}

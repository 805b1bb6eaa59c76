"""A fitted predictor: what it holds, how it answers, and the JSON document it is kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hardware.estimate import Basis
from hardware.fitted.features import IMAGE, INDEX, TIMED, Vector
from hardware.fitted.residual import Residual, residual_inputs
from searchspaces import NasError

FORMAT = "nas.predictor/1"
_Z80 = 1.2816  # of a normal distribution, 80 % lie within so many standard deviations


@dataclass(frozen=True)
class Measured:
    """Where the measurements lie that a predictor was fitted on: elsewhere it is a model only.

    Args:
        batch_sizes: smallest and largest.
        shortest_pass_ms: of a whole batch; on a GPU shorter passes may wait for kernel launches instead. 0 if every
            regime was measured.
        saturated: where only the largest batches were measured, what a pass costs once cannot be told from what an
            image costs; a smaller batch than this takes the time per image of this one. 1 where batches differ.
    """

    batch_sizes: tuple[int, ...]
    shortest_pass_ms: float = 0.0
    saturated: int = 1


@dataclass(frozen=True)
class EnergyFit:
    """Energy of a pass from a counter: millijoules per 10^9 multiply-accumulates, per 10^9 bytes, per millisecond."""

    per_gmac: float
    per_gbyte: float
    per_ms: float
    error: float

    def energy_mj(self, macs: float, moved: float, batch_size: int, latency_ms: float) -> float:
        """Return millijoules of a pass; `macs` and `moved`, numbers of 4 bytes, are those of one image."""
        work = batch_size * (self.per_gmac * macs + self.per_gbyte * 4 * moved) / 1e9
        return float(work + self.per_ms * latency_ms)


@dataclass(frozen=True)
class Predictor:
    """Latency of a pass on one device in one precision.

    Args:
        device: as its maker calls it.
        precision: of the measured passes.
        coefficients: milliseconds for each of `TIMED`, shape (len(TIMED),), none negative.
        launch_ms: time to start one kernel; a pass takes at least that for each of its kernels.
        launch_basis: ``fitted`` if passes bound by it were measured, else ``model``.
        residual: correction of the roofline; None for none.
        measured: the range of the measurements.
        error: what cross-validation found: at least `mape` (fraction), `tau`, `coverage` and `interval_scale`.
        origin: whose data, under which licence, fitted by what.
        energy: fitted to a counter; None where there was none.
        bend: correction on top, where few networks were measured and the rest is another device's.
    """

    device: str
    precision: str
    coefficients: Vector
    launch_ms: float
    launch_basis: Basis
    residual: Residual | None
    measured: Measured
    error: Mapping[str, Any]
    origin: Mapping[str, Any] = field(default_factory=dict)
    energy: EnergyFit | None = None
    bend: Residual | None = None

    def roofline_ms(self, columns: Vector, batch_size: Vector | int) -> Vector:
        """Return the roofline's time of a pass, shape (...), of columns of shape (..., len(COLUMNS))."""
        images = np.asarray(batch_size)
        image = columns[..., :IMAGE] @ self.coefficients[:IMAGE]
        once = columns[..., IMAGE : len(TIMED)] @ self.coefficients[IMAGE:]
        return np.asarray(images * (image + once / self.sharing(images)))

    def sharing(self, batch_size: Vector | int) -> Vector:
        """Return how many images share what a pass costs once, shape as given."""
        return np.maximum(batch_size, self.measured.saturated)

    def launching_ms(self, columns: Vector) -> Vector:
        """Return the least time of a pass, shape (...): that of starting its kernels."""
        return np.asarray(columns[..., INDEX["launches"]] * self.launch_ms)

    def predict(
        self, columns: Vector, batch_size: Vector | int, groups: Sequence[str | None] | None = None
    ) -> tuple[Vector, Vector]:
        """Return the time of a pass in milliseconds and its relative standard deviation, each of shape (networks,).

        Args:
            columns: shape (networks, len(COLUMNS)).
            batch_size: one for all, or shape (networks,).
            groups: families of the networks; None where unknown.
        """
        roofline = self.roofline_ms(columns, batch_size)
        if self.residual is None:
            spread = np.full(roofline.shape, float(self.error.get("spread", 0.0)))
        else:
            mean, spread = self.residual.predict(residual_inputs(columns), groups)
            roofline = roofline * np.exp(mean)
        if self.bend is not None:
            mean, spread = self.bend.predict(residual_inputs(columns))
            roofline = roofline * np.exp(mean)
        return np.maximum(roofline, self.launching_ms(columns)), spread

    def interval(self, latency_ms: Vector, spread: Vector) -> tuple[Vector, Vector]:
        """Return the ends that hold 80 % of the truths, by the scale that cross-validation found; shapes as given."""
        factor = np.exp(_Z80 * float(self.error["interval_scale"]) * spread)
        return latency_ms / factor, latency_ms * factor

    def basis(self, latency_ms: float, batch_size: int) -> Basis:
        """Return ``fitted`` if such passes were measured, else ``model``."""
        low, high = min(self.measured.batch_sizes), max(self.measured.batch_sizes)
        if self.measured.shortest_pass_ms:
            return "fitted" if latency_ms >= self.measured.shortest_pass_ms else self.launch_basis
        return "fitted" if low <= batch_size <= high else "model"

    def scope(self) -> str:
        """Return in words which passes it was fitted on, and with what error."""
        low, high = min(self.measured.batch_sizes), max(self.measured.batch_sizes)
        where = f"passes of {low} to {high} images" if low < high else f"passes of {low} image{'s' * (low > 1)}"
        if self.measured.shortest_pass_ms:
            where = f"passes of {self.measured.shortest_pass_ms:g} ms and more"
        return f"{where}; mean error {100 * float(self.error['mape']):.1f} % ({self.error['split']})"

    def write(self, path: Path) -> None:
        """Write the document whole, through a neighbour."""
        document = {
            "format": FORMAT,
            "device": self.device,
            "precision": self.precision,
            "error": dict(self.error),
            "origin": dict(self.origin),
            "measured": {
                "batch_sizes": list(self.measured.batch_sizes),
                "shortest_pass_ms": self.measured.shortest_pass_ms,
                "saturated": self.measured.saturated,
            },
            "coefficients": {n: float(f"{c:.5g}") for n, c in zip(TIMED, self.coefficients, strict=True)},
            "launch_ms": self.launch_ms,
            "launch_basis": self.launch_basis,
            "energy": vars(self.energy) if self.energy else None,
            "residual": self.residual.as_dict() if self.residual else None,
            "bend": self.bend.as_dict() if self.bend else None,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        neighbour = path.with_name(f"{path.name}.part")
        neighbour.write_text(json.dumps(document, allow_nan=False) + "\n")
        neighbour.replace(path)

    @classmethod
    def read(cls, path: Path) -> Predictor:
        """Return the predictor in a file.

        Raises:
            NasError: if the file is none or damaged; the message names it.
        """
        try:
            document = json.loads(path.read_text())
            if document["format"] != FORMAT:
                raise ValueError(f"its format is {document['format']!r}, not {FORMAT!r}")
            residual, energy, measured = document["residual"], document["energy"], document["measured"]
            coefficients = np.array([document["coefficients"][name] for name in TIMED], float)
            if not (np.isfinite(coefficients).all() and (coefficients >= 0).all() and coefficients.any()):
                raise ValueError("its coefficients are not times")
            error = document["error"]
            return cls(
                str(document["device"]),
                str(document["precision"]),
                coefficients,
                float(document["launch_ms"]),
                "fitted" if document["launch_basis"] == "fitted" else "model",
                Residual.from_dict(residual) if residual else None,
                Measured(
                    tuple(map(int, measured["batch_sizes"])),
                    float(measured["shortest_pass_ms"]),
                    int(measured["saturated"]),
                ),
                {**error, "mape": float(error["mape"]), "interval_scale": float(error["interval_scale"])},
                dict(document["origin"]),
                EnergyFit(**energy) if energy else None,
                Residual.from_dict(document["bend"]) if document.get("bend") else None,
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise NasError(f"the coefficient file {path} is damaged: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    return str(error.strerror) if isinstance(error, OSError) else str(error)

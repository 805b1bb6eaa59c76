"""A predictor for a new device from few measured networks and the predictor of a known device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hardware.fitted.assess import accuracy
from hardware.fitted.predictor import Predictor
from hardware.fitted.residual import Residual, residual_inputs
from hardware.fitted.samples import Samples
from searchspaces import NasError

FEWEST = 10
# The ratio of two devices' times is smoother than either: one long length for all inputs, in standard deviations of
# the source's networks, and little noise. Fixed, since thirty networks do not tell thirty lengths.
_LENGTH, _VARIANCE, _NOISE = 8.0, 0.1, 0.002


def transfer(
    source: Predictor, samples: Samples, device: str, precision: str, origin: Mapping[str, Any] | None = None
) -> Predictor:
    """Return the source's predictor, scaled and bent to the passes measured on another device.

    Args:
        source: of a known device, with a residual.
        samples: passes on the new device, at batch sizes of the source's regime; 30 networks serve well.
        device, precision: of the new device.
        origin: of the measurements.

    Raises:
        NasError: with fewer than 10 passes, or a source without a residual.
    """
    if len(samples) < FEWEST:
        raise NasError(f"networks={len(samples)} are too few to transfer from; measure at least {FEWEST}, better 30")
    if source.residual is None:
        raise NasError(f"the predictor of {source.device} has no residual to transfer from; take a shipped one")
    known, _ = source.predict(samples.columns, samples.batch_size, samples.groups)
    ratio = np.log(samples.pass_ms / known)
    level = float(np.median(ratio))
    points = (residual_inputs(samples.columns) - source.residual.mean) / source.residual.scale
    bend = Residual(
        mean=source.residual.mean,
        scale=source.residual.scale,
        length=np.full(points.shape[1], _LENGTH),
        variance=_VARIANCE,
        family=0.0,
        noise=_NOISE,
        anchors=points,
        values=ratio - level,
        groups=samples.groups,
    )
    left_out = np.exp(level + bend.values - bend.left_out()) * known
    spread = 1 / np.sqrt(np.diag(bend.precision))
    folds = [np.array([index]) for index in range(len(samples))]
    found = accuracy(samples.pass_ms / samples.batch_size, left_out / samples.batch_size, spread, folds).as_dict()
    shortest = float(samples.pass_ms.min()) if source.measured.shortest_pass_ms else 0.0
    sizes = (int(samples.batch_size.min()), int(samples.batch_size.max()))
    return replace(
        source,
        device=device,
        precision=precision,
        coefficients=source.coefficients * np.exp(level),
        bend=bend,
        measured=replace(source.measured, batch_sizes=sizes, shortest_pass_ms=shortest),
        error={"split": "each network left out once", **found},
        origin={**(origin or {}), "transferred_from": source.device, "source": dict(source.origin)},
        energy=None,
    )

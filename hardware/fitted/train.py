"""A whole predictor from measured passes, with the error that cross-validation by family finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hardware.estimate import Basis
from hardware.fitted.assess import Accuracy, cross_validate
from hardware.fitted.features import Vector
from hardware.fitted.fit import fit_residual, fit_roofline
from hardware.fitted.predictor import Measured, Predictor
from hardware.fitted.samples import Samples
from searchspaces import NasError

FOLDS = 5
# Fewer networks than this and the residual is left out: its thirty inputs would only follow noise.
_ENOUGH = 25
# Passes within this factor of the least time per kernel are held to be waiting for launches.
_WAITING = 1.3


def fit_predictor(
    samples: Samples, launch_ms: float = 0.0, launch_basis: Basis = "model", saturated: int = 1
) -> Predictor:
    """Return a predictor of these passes, without an error of its own.

    Args:
        launch_ms: least time of each kernel of a pass; passes that it explains take no part in the rest of the fit.
        launch_basis: ``fitted`` if it was found on measurements.
        saturated: see `Measured`.
    """
    busy = np.ones(len(samples), bool)
    if launch_basis == "fitted":
        busy = samples.pass_ms > _WAITING * launch_ms * samples.launches
    if not busy.any():
        raise NasError("every pass waited for kernel launches; measure a larger batch_size too")
    limited = samples.take(busy)
    sizes = (int(samples.batch_size.min()), int(samples.batch_size.max()))
    measured = Measured(sizes, saturated=saturated)
    prices = fit_roofline(limited, saturated)
    predictor = Predictor("", "fp32", prices, launch_ms, launch_basis, None, measured, {})
    residuals = np.log(limited.pass_ms / predictor.roofline_ms(limited.columns, limited.batch_size))
    if len(limited) < _ENOUGH:
        return replace(predictor, error={"spread": max(float(residuals.std()), 0.01)})
    return replace(predictor, residual=fit_residual(limited.columns, residuals, limited.groups))


def launch_time(samples: Samples) -> float:
    """Return the milliseconds a kernel takes to start, from the passes over the smallest batch.

    Where a device waits for launches, the time of a pass is their number times one constant, which is then the least
    that any network shows; the median over the networks near that least is taken.
    """
    small = samples.take(samples.batch_size == samples.batch_size.min())
    each = small.pass_ms / small.launches
    return float(np.median(each[each <= _WAITING * each.min()]))


def predict_unseen(known: Samples, unseen: Samples, families: bool, **settings: Any) -> tuple[Vector, Vector]:
    """Return pass times and spreads of `unseen`, fitted on `known`; `families` says whether they may be recognised."""
    groups = unseen.groups if families else None
    return fit_predictor(known, **settings).predict(unseen.columns, unseen.batch_size, groups)


def assess_by_family(samples: Samples, **settings: Any) -> Accuracy:
    """Return the accuracy on networks of families that were not measured."""
    folds = samples.family_folds(FOLDS)
    return cross_validate(samples, folds, lambda a, b: predict_unseen(a, b, families=False, **settings))


def assess_at_random(samples: Samples, seed: int = 0, **settings: Any) -> Accuracy:
    """Return the accuracy on networks of which others of the family were measured."""
    folds = samples.random_folds(FOLDS, seed)
    return cross_validate(samples, folds, lambda a, b: predict_unseen(a, b, families=True, **settings))


def train(
    samples: Samples,
    device: str,
    precision: str,
    measured: Measured,
    origin: Mapping[str, Any],
    launch_ms: float = 0.0,
    launch_basis: Basis = "model",
) -> Predictor:
    """Return the predictor of a device with its cross-validated error.

    Args:
        samples: measured passes of at least two families.
        device: as its maker calls it.
        measured: where the passes lie.
        origin: whose measurements, under which licence, fitted by what.
    """
    settings: dict[str, Any] = {"launch_ms": launch_ms, "launch_basis": launch_basis, "saturated": measured.saturated}
    found = assess_by_family(samples, **settings).as_dict()
    error = {"split": f"{FOLDS} folds by family", **found}
    predictor = fit_predictor(samples, **settings)
    return replace(predictor, device=device, precision=precision, measured=measured, error=error, origin=dict(origin))

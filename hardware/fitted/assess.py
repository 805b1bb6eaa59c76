"""How well a predictor does on networks it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.fitted.features import Vector
from hardware.fitted.samples import Indices, Samples, splits

# Fitted on the first, it predicts the second: times in milliseconds and relative standard deviations.
FitPredict = Callable[[Samples, Samples], tuple[Vector, Vector]]
COVERAGE = 0.8
_Z80 = 1.2816  # of a normal distribution, 80 % lie within so many standard deviations


@dataclass(frozen=True)
class Accuracy:
    """Predictions against measurements.

    Args:
        networks: how many.
        tau, spearman: agreement of the two orders.
        mape: mean absolute relative error, a fraction.
        within10, within20: share within 10 and 20 % of the measurement.
        coverage: share inside an interval made for 80 %, its width scaled on the other folds; nan without intervals.
        interval_scale: what the standard deviations have to be multiplied by for that, over all folds.
        spread: standard deviation of log(measured / predicted).
    """

    networks: int
    tau: float
    spearman: float
    mape: float
    within10: float
    within20: float
    coverage: float
    interval_scale: float
    spread: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON, to four digits."""
        return {name: value if name == "networks" else float(f"{value:.4g}") for name, value in vars(self).items()}


def cross_validate(samples: Samples, folds: Sequence[Indices], fit_predict: FitPredict) -> Accuracy:
    """Return the accuracy on each fold of what is fitted on the others."""
    predicted, spread = np.zeros(len(samples)), np.zeros(len(samples))
    for known, unseen in splits(samples, folds):
        predicted[unseen], spread[unseen] = fit_predict(samples.take(known), samples.take(unseen))
    whole = np.ones(len(samples), bool) if samples.whole is None else samples.whole
    places = np.cumsum(whole) - 1
    folds = [places[fold[whole[fold]]] for fold in folds]
    measured, size = samples.pass_ms[whole], samples.batch_size[whole]
    return accuracy(measured / size, predicted[whole] / size, spread[whole], [fold for fold in folds if len(fold)])


def accuracy(measured: Vector, predicted: Vector, spread: Vector, folds: Sequence[Indices]) -> Accuracy:
    """Return the accuracy of predictions; the width of the intervals is found without the fold it is tested on."""
    from scipy.stats import kendalltau, spearmanr

    error = np.abs(predicted / measured - 1)
    logs = np.log(measured / predicted)
    scale, covered = float("nan"), float("nan")
    if (spread > 0).all():
        ratio = np.abs(logs) / spread / _Z80
        scale = float(np.quantile(ratio, COVERAGE))
        inside = np.zeros(len(ratio), bool)
        for fold in folds:
            inside[fold] = ratio[fold] <= np.quantile(np.delete(ratio, fold), COVERAGE)
        covered = float(inside.mean())
    return Accuracy(
        networks=len(measured),
        tau=float(kendalltau(measured, predicted).statistic),
        spearman=float(spearmanr(measured, predicted).statistic),
        mape=float(error.mean()),
        within10=float((error <= 0.1).mean()),
        within20=float((error <= 0.2).mean()),
        coverage=covered,
        interval_scale=scale,
        spread=float(logs.std()),
    )

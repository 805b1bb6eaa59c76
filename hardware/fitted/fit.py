"""Fitting a predictor to measured networks: a roofline by non-negative least squares, then its residual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hardware.fitted.features import IMAGE, WORK, Vector, per_pass
from hardware.fitted.residual import Residual, residual_inputs
from hardware.fitted.samples import Samples

# Medians of the priors: length of an input in standard deviations, then the variances of squared logarithms.
_LENGTH, _VARIANCE, _FAMILY, _NOISE = 4.0, 0.2**2, 0.1**2, 0.05**2
_LENGTH_SPREAD, _VARIANCE_SPREAD = 0.5, 1.0  # of their logarithms
_HOLD = 0.1  # a class at twice the common price counts like an error of 10 % in one network
_OUTLIER = 0.5  # residuals beyond are cut to it: a network 5 times slower than any like it would bend everything near


def fit_roofline(samples: Samples, saturated: int = 1) -> Vector:
    """Return non-negative milliseconds per unit of each timed column, shape (len(TIMED),).

    Least in squared relative error, since times span four orders of magnitude. First all work has one price and all
    traffic another; then each column its own, held near the common one as far as the measurements leave it open: some
    classes of operators occur in one family only, and would be priced by chance where it is missing.

    Args:
        saturated: see `Measured`.
    """
    images = np.maximum(samples.batch_size, saturated)
    scaled = per_pass(samples.columns, images) * (samples.batch_size / images / samples.pass_ms)[:, None]
    ones = np.ones(len(samples))
    work, traffic = scaled[:, : len(WORK)].sum(axis=1), scaled[:, len(WORK) : IMAGE].sum(axis=1)
    common = _non_negative(np.column_stack([work, traffic, scaled[:, IMAGE:]]), ones)
    prices = np.array([common[0]] * len(WORK) + [common[1]] * (IMAGE - len(WORK)))
    known = prices > 0
    held = np.zeros((int(known.sum()), scaled.shape[1]))
    held[np.arange(len(held)), np.flatnonzero(known)] = _HOLD / prices[known]
    return _non_negative(np.vstack([scaled, held]), np.concatenate([ones, np.full(len(held), _HOLD)]))


def _non_negative(matrix: Vector, right: Vector) -> Vector:
    """Return the non-negative solution of least squares, columns brought to one size before."""
    from scipy.optimize import nnls

    norm = np.linalg.norm(matrix, axis=0)
    norm[norm == 0] = 1
    found, _ = nnls(matrix / norm, right, maxiter=100 * matrix.shape[1])
    return np.asarray(found / norm)


def fit_residual(columns: Vector, values: Vector, groups: Sequence[str]) -> Residual:
    """Return the process of the residuals, its lengths and variances at their most probable.

    The priors are what keeps it from following single families: with few hundred networks and about thirty inputs the
    likelihood alone overfits.

    Args:
        columns: of the networks, shape (networks, len(COLUMNS)).
        values: log(measured / roofline), shape (networks,).
        groups: their families.
    """
    from scipy.optimize import minimize

    values = np.clip(values, -_OUTLIER, _OUTLIER)
    inputs = residual_inputs(columns)
    mean, scale = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-3)
    points = (inputs - mean) / scale
    count = points.shape[1]
    names = np.array(groups, object)
    same = (names[:, None] == names).astype(float)
    medians = np.log([*[_LENGTH] * count, _VARIANCE, _FAMILY, _NOISE])
    spreads = np.array([*[_LENGTH_SPREAD] * count, *[_VARIANCE_SPREAD] * 3])

    def loss(logs: Vector) -> tuple[float, Vector]:
        value, gradient = _negative_evidence(logs, points, values, same)
        deviation = (logs - medians) / spreads
        return value + 0.5 * float(deviation @ deviation), gradient + deviation / spreads

    logs = minimize(loss, medians, jac=True, method="L-BFGS-B", options={"maxiter": 60}).x
    lengths, (variance, family, noise) = np.exp(logs[:count]), map(float, np.exp(logs[count:]))
    residual = Residual(mean, scale, lengths, variance, family, noise, points, values, tuple(groups))
    return replace(residual, reach=_reach(residual))


def _reach(residual: Residual) -> float:
    """Return the share of the smooth part that serves networks of other families best, found family by family."""
    smooth = residual.without_own_family()
    shares = np.linspace(0, 1, 21)
    return float(shares[np.argmin([np.abs(residual.values - share * smooth).mean() for share in shares])])


def _negative_evidence(logs: Vector, points: Vector, values: Vector, same: Vector) -> tuple[float, Vector]:
    """Return -log p(values) and its gradient by the logarithms of lengths, variance, family effect and noise.

    Rasmussen and Williams, Gaussian Processes for Machine Learning, equations 2.30 and 5.9.

    Args:
        same: 1 where two networks are of one family, else 0, shape (networks, networks).
    """
    lengths, (variance, family, noise) = np.exp(logs[:-3]), np.exp(logs[-3:])
    scaled = points / lengths
    squares = (scaled**2).sum(axis=1)
    smooth = variance * np.exp(-0.5 * np.maximum(squares[:, None] + squares - 2 * scaled @ scaled.T, 0))
    covariance = smooth + family * same + noise * np.eye(len(values))
    factor = np.linalg.cholesky(covariance)
    inverse = np.linalg.inv(covariance)
    weights = inverse @ values
    evidence = 0.5 * values @ weights + np.log(np.diag(factor)).sum()
    pull = np.outer(weights, weights) - inverse
    pulled = pull * smooth
    by_length = pulled.sum(axis=1) @ scaled**2 - np.einsum("ij,ij->j", scaled, pulled @ scaled)
    by_variance = [0.5 * pulled.sum(), 0.5 * family * (pull * same).sum(), 0.5 * noise * np.trace(pull)]
    return float(evidence), -np.array([*by_length, *by_variance])

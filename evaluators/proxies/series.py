"""Attention without pairs of tokens: exp(q . k) as a polynomial, for scores small enough to make that exact.

A polynomial in q . k of order n is a product of features, f(q) . f(k), one per monomial of up to n channels. The sums
over the keys are then taken once instead of once per query, and the cost falls from tokens^2 to tokens * features.
Everything here has the tokens last, so that each operation runs over long rows.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

_NUMBERS_PER_STEP = 500_000  # features of one step, 2 MB: fewer steps beat a closer fit to the second-level cache
_COST_RATIO = 3  # the series wins over the fused softmax from about three tokens per feature on
_TOLERANCE = 2000.0  # root mean square error of the attention weights, machine epsilons: 2.4e-4 in single precision


class Monomials(NamedTuple):
    """The monomials of `channels` variables up to an order, lowest order first.

    Attributes:
        steps: ``(variable, start, stop, target)``: the product of a variable with the monomials from start to stop
            stands at target.
        coefficients: (features,) of the power series of exp(q . k): the inverse product of the factorials.
        raised: (lower features * channels,) place of each monomial of a lower order times each variable.
        powers: (lower features * channels,) the exponent of that variable after the multiplication.
        lower: monomials up to one order less.
    """

    steps: tuple[tuple[int, int, int, int], ...]
    coefficients: Tensor
    raised: Tensor
    powers: Tensor
    lower: int


@lru_cache(maxsize=64)
def monomials(channels: int, order: int, dtype: torch.dtype) -> Monomials:
    """Return the monomials of so many channels up to an order of at least 1."""
    names: list[tuple[int, ...]] = [()]
    steps: list[tuple[int, int, int, int]] = []
    lower, start = 1, 0
    for _ in range(order):
        lower, stop = len(names), len(names)
        for variable in range(channels):
            # names are sorted, so those that start with this variable or a later one are the tail of the last degree
            first = next(i for i in range(start, stop) if not names[i] or names[i][0] >= variable)
            steps.append((variable, first, stop, len(names)))
            names += [(variable, *name) for name in names[first:stop]]
        start = stop
    place = {name: index for index, name in enumerate(names)}
    raised, powers = [], []
    for name in names[:lower]:
        for variable in range(channels):
            product = tuple(sorted((*name, variable)))
            raised.append(place[product])
            powers.append(product.count(variable))
    weights = [1.0 / math.prod(math.factorial(name.count(v)) for v in set(name)) for name in names]
    return Monomials(
        tuple(steps),
        torch.tensor(weights, dtype=dtype),
        torch.tensor(raised),
        torch.tensor(powers, dtype=dtype),
        lower,
    )


def feature_count(channels: int, order: int) -> int:
    """Return how many monomials of so many channels there are up to an order."""
    return math.comb(channels + order, order)


def _features(x: Tensor, order: int) -> Tensor:
    """Return the (groups, features, tokens) monomials of (groups, channels, tokens)."""
    groups, channels, tokens = x.shape
    out = x.new_empty(groups, feature_count(channels, order), tokens)
    out[:, 0] = 1.0
    out[:, 1 : channels + 1] = x
    for variable, start, stop, target in monomials(channels, order, x.dtype).steps[channels:]:
        torch.mul(x[:, variable : variable + 1], out[:, start:stop], out=out[:, target : target + stop - start])
    return out


def _with_ones(x: Tensor) -> Tensor:
    """Return (groups, channels, tokens) with a channel of ones appended."""
    return torch.cat([x, x.new_ones(x.shape[0], 1, x.shape[2])], 1)


class _SeriesAttention(torch.autograd.Function):
    """Attention over groups in small steps; the features are computed anew in the backward pass."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, order: int) -> Tensor:
        """Take (groups, channels, tokens) tensors, the queries scaled; return the outputs in that layout."""
        table = monomials(q.shape[1], order, q.dtype)
        totals, norms, sums = v.new_empty(v.shape[0], v.shape[1], q.shape[2]), [], []
        step = max(1, _NUMBERS_PER_STEP // (len(table.coefficients) * q.shape[2]))
        for start in range(0, len(q), step):
            some = slice(start, start + step)
            moments = _features(k[some], order) @ _with_ones(v[some]).transpose(1, 2)
            moments *= table.coefficients[:, None]
            both = moments.transpose(1, 2) @ _features(q[some], order)
            torch.div(both[:, :-1], both[:, -1:], out=totals[some])
            norms.append(both[:, -1:])
            sums.append(moments)
        ctx.order = order
        ctx.save_for_backward(q, k, v, totals, torch.cat(norms), torch.cat(sums))
        return totals

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of queries, keys and values."""
        q, k, v, out, norms, sums = ctx.saved_tensors
        order = ctx.order
        table = monomials(q.shape[1], order, q.dtype)
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        step = max(1, _NUMBERS_PER_STEP // (len(table.coefficients) * q.shape[2]))
        for start in range(0, len(q), step):
            some = slice(start, start + step)
            slope = gradient[some] / norms[some]
            both = torch.cat([slope, -(slope * out[some]).sum(1, keepdim=True)], 1)
            query_features, key_features = _features(q[some], order), _features(k[some], order)
            moments = (query_features @ both.transpose(1, 2)) * table.coefficients[:, None]
            dv[some] = moments[:, :, :-1].transpose(1, 2) @ key_features
            dq[some] = _inner_gradient(query_features, sums[some], both, table)
            dk[some] = _inner_gradient(key_features, moments, _with_ones(v[some]), table)
        return dq, dk, dv, None


def _inner_gradient(features: Tensor, moments: Tensor, outer: Tensor, table: Monomials) -> Tensor:
    """Return the gradient of sum(outer * (moments^T features)) with respect to the channels behind the features.

    The derivative of a monomial is a lower one times a power, so one product with the lower features does it.

    Args:
        features: (groups, features, tokens).
        moments: (groups, features, columns).
        outer: (groups, columns, tokens).

    Returns:
        (groups, channels, tokens).
    """
    groups, columns = moments.shape[0], moments.shape[2]
    raised = moments[:, table.raised] * table.powers[:, None]
    raised = raised.reshape(groups, table.lower, -1)  # (groups, lower, channels * columns)
    terms = raised.transpose(1, 2) @ features[:, : table.lower]
    return (terms.reshape(groups, -1, columns, terms.shape[-1]) * outer[:, None]).sum(2)


def series_attention(query: Tensor, key: Tensor, value: Tensor, scale: float, order: int) -> Tensor:
    """Return softmax(scale q k^T) v with exp replaced by its power series up to `order`, differentiable once.

    Args:
        query, key, value: (..., tokens, channels).
        order: at least 1.
    """
    q, k, v = (x.transpose(-1, -2).reshape(-1, x.shape[-1], x.shape[-2]) for x in (query * scale, key, value))
    out = _SeriesAttention.apply(q, k, v, order)
    return out.reshape(*query.shape[:-2], value.shape[-1], query.shape[-2]).transpose(-1, -2)


def choose_order(query: Tensor, key: Tensor, scale: float) -> int | None:
    """Return the lowest order whose error in the attention weights is proven small; None if softmax is cheaper.

    Cut after order n, the series misses exp(s) by the share |s|^(n+1) / (n+1)! * max(1, exp(-s)) at most, and scores
    are bounded by norms, |s| <= scale |q| |k|. Its mean square over all pairs is thus a product of mean powers of the
    norms. The tolerance holds for its root; errors of different tokens differ in sign, so that what reaches the kernel
    is far smaller (tests/evaluators/proxies/test_ntk.py compares; at 224 px the condition number moves by under 1e-6).

    Args:
        query, key: (..., tokens, channels).
    """
    channels, tokens = query.shape[-1], key.shape[-2]
    if _COST_RATIO * feature_count(channels, 2) > tokens or query.shape[-2] != tokens:
        return None
    squares = [((x * x) @ x.new_ones(channels)).double() for x in (query.detach(), key.detach())]
    largest = scale * math.sqrt(squares[0].max().item() * squares[1].max().item())
    order = 2
    while largest < 1.0 and _COST_RATIO * feature_count(channels, order) <= tokens:
        q, k = (x.pow(order + 1).mean(-1) for x in squares)
        error = scale ** (order + 1) * math.sqrt((q * k).mean().item()) / math.factorial(order + 1) * math.exp(largest)
        if error <= _TOLERANCE * torch.finfo(query.dtype).eps:
            return order
        order += 1
    return None

"""Softmax attention of values and tangents: an exact walk, and a linear form that is as exact when scores are tiny.

Written out, with scores s = scale q k^T, weights p = exp(s) / z and z the sum of exp(s) over the keys:

    out = p v        out' = (p * s') v + p v' - out * sum(p * s')        s' = scale (q' k^T + q k'^T)
"""

from __future__ import annotations

import torch
from torch import Tensor

# Score pairs of one step of the exact walk: with the exponentials they fill half of a 512 KiB second-level cache.
_PAIRS_PER_STEP = 24_576


def attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Return softmax(scale q k^T) v and its tangent, stacked.

    Args:
        query, key, value: (2 * batch, ..., tokens, channels), values in the first half and tangents in the second.

    Returns:
        The stacked output in the shape of `query` with the channels of `value`.
    """
    q, k, v = (x.reshape(2, -1, *x.shape[-2:]) for x in (query, key, value))
    # A shift of all keys changes no weight, since it shifts all scores of a query alike; it makes scores smaller.
    k = k - k.mean(-2, keepdim=True)
    out = linear_attention(q, k, v, scale) if is_linear(q, k, v, scale) else exact_attention(q, k, v, scale)
    return out.reshape(*query.shape[:-1], value.shape[-1])


def is_linear(q: Tensor, k: Tensor, v: Tensor, scale: float) -> bool:
    """Return whether 1 + s stands for exp(s) to within rounding, for the output and for its tangent.

    The series misses the weights, exp(s), by at most s^2 / 2 * exp(|s|), and their tangents, s' exp(s), by at most
    |s s'| exp(|s|). The first is harmless below the rounding of exp itself, half a machine epsilon; the second when,
    acting on v, it stays below that share of v'. Scores are bounded by norms: |s| <= scale |q| |k|.

    Args:
        q, k, v: (2, groups, tokens, channels).
    """
    (q0, q1), (k0, k1), (v0, v1) = (_largest_norms(x) for x in (q, k, v))
    score, slope = scale * q0 * k0, scale * (q1 * k0 + q0 * k1)
    epsilon = torch.finfo(q.dtype).eps
    return score * score <= epsilon and 2.0 * score * slope * v0 <= epsilon * v1


def _largest_norms(x: Tensor) -> tuple[float, float]:
    """Return the largest row norm of the values and of the tangents."""
    squares = (x * x) @ x.new_ones(x.shape[-1])  # twice as fast as a norm over a few channels
    first, second = squares.reshape(2, -1).amax(1).sqrt().tolist()
    return first, second


def linear_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Return attention with 1 + s in place of exp(s), for keys whose mean over the tokens is zero.

    Then z is the number of tokens, and the output is mean(v) + q c with c the covariance of k and v: no pair of tokens
    is ever formed. Costs tokens * channels^2.

    Args:
        q, k, v: (2, groups, tokens, channels).

    Returns:
        (2, groups, tokens, channels of v).
    """
    keys, slopes = (x.transpose(-1, -2) for x in k)
    covariance = (keys @ v[0]).mul_(scale / k.shape[-2])
    tangent = torch.baddbmm(keys @ v[1], slopes, v[0]).mul_(scale / k.shape[-2])
    mean = v.mean(-2, keepdim=True)
    out = torch.empty_like(v)
    torch.baddbmm(mean[0], q[0], covariance, out=out[0])
    torch.baddbmm(mean[1], q[1], covariance, out=out[1])
    out[1].baddbmm_(q[0], tangent)
    return out


def exact_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Return attention by walking over blocks of queries whose scores stay in the cache.

    Scores and their tangents are two products with the keys, the second of twice the depth: (q', q) (k, k')^T.

    Args:
        q, k, v: (2, groups, tokens, channels).

    Returns:
        (2, groups, tokens, channels of v).
    """
    _, groups, tokens, _ = q.shape
    keys = k.shape[-2]
    channels = v.shape[-1]
    out = v.new_empty(2, groups, tokens, channels)
    both_keys = torch.cat([k[0], k[1]], -1).transpose(-1, -2)
    both_queries = torch.cat([q[1], q[0]], -1) * scale
    queries = q[0] * scale
    # The columns: values, ones (their products are the sums over the keys), tangents.
    columns = torch.cat([v[0], v.new_ones(groups, keys, 1), v[1]], -1)
    together = max(1, _PAIRS_PER_STEP // (keys * tokens))
    rows = max(1, min(tokens, _PAIRS_PER_STEP // keys))
    for group in range(0, groups, together):
        some = slice(group, group + together)
        for row in range(0, tokens, rows):
            block = slice(row, row + rows)
            weights = queries[some, block] @ k[0, some].transpose(-1, -2)
            weights = weights.sub_(weights.amax(-1, keepdim=True)).exp_()
            slopes = (both_queries[some, block] @ both_keys[some]).mul_(weights)
            sums = weights @ columns[some]
            slope_sums = slopes @ columns[some, :, : channels + 1]
            total = sums[..., channels : channels + 1]
            first = sums[..., :channels] / total
            second = slope_sums[..., :channels] + sums[..., channels + 1 :] - first * slope_sums[..., channels:]
            out[0, some, block] = first
            out[1, some, block] = second / total
    return out

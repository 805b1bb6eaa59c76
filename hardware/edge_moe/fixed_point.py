"""The accelerator's arithmetic on torch tensors: fixed point, table GELU, single-pass softmax, LayerNorm.

Values are float64 numbers on the grid of their format, which holds every one of them exactly. Conversion truncates
toward minus infinity and wraps on overflow, as the design's types do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class Format(NamedTuple):
    """Signed fixed point of `bits` bits, `integer` of them before the point, the sign among them."""

    bits: int
    integer: int

    @property
    def fraction(self) -> int:
        """Bits after the point."""
        return self.bits - self.integer

    @property
    def limit(self) -> float:
        """Values lie in [-limit, limit)."""
        return 2.0 ** (self.integer - 1)

    def holding(self, x: Tensor) -> Format:
        """Return this format, or the one of as many bits with the fewest integer bits that hold all of `x`."""
        form = self
        while bool((x >= form.limit).any() or (x < -form.limit).any()):
            form = Format(form.bits, form.integer + 1)
        return form

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values as this format stores them, float64."""
        steps = torch.floor(x.double() * 2.0**self.fraction)
        half = 2.0 ** (self.bits - 1)
        return (torch.remainder(steps + half, 2 * half) - half) / 2.0**self.fraction


ACTIVATION = Format(32, 10)
WEIGHT = Format(16, 2)
ATTENTION_BIAS = Format(16, 7)
BIAS = Format(16, 5)
NORM = Format(16, 5)
PATCH_WEIGHT = Format(16, 0)
STEP = 2.0**-ACTIVATION.fraction
EPSILON = 4 * STEP  # of LayerNorm: 1e-6 on the grid
TABLE_STEPS, TABLE_LIMIT = 32, 5.5  # entries per unit of GELU's table, and its end
BEAT = 8  # activations that move and are multiplied together
_LOWEST = -512.0


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return a linear layer: each product is truncated before it is added.

    Truncation takes half a step from a product on average; taking all of them from the sum is within an RMS of 5e-5 of
    truncating one by one.

    Args:
        x: (..., inputs) activations.
        weight: (outputs, inputs), on its grid.
        bias: (outputs,), on its grid.
    """
    total = x @ weight.T - x.shape[-1] * STEP / 2
    return ACTIVATION(total if bias is None else total + bias)


@lru_cache(maxsize=1)
def gelu_table() -> Tensor:
    """Return d(a) = a (1 - Phi(a)) at a = 0, 1/32, ..., 5.5, each to the nearest step; (177,) float64."""
    a = torch.arange(int(TABLE_LIMIT * TABLE_STEPS) + 1, dtype=torch.float64) / TABLE_STEPS
    exact = a * torch.special.erfc(a / 2**0.5) / 2
    return torch.floor(exact / STEP + 0.5) * STEP


def gelu(x: Tensor) -> Tensor:
    """Return relu(x) - d(|x|) with d interpolated in the table; within 9.8e-5 of the exact GELU."""
    place = x.double().abs() * TABLE_STEPS
    table = gelu_table().to(x.device)
    index = place.floor().clamp(max=len(table) - 2)
    low, high = table[index.long()], table[index.long() + 1]
    between = torch.floor((low + (high - low) * (place - index)) / STEP) * STEP
    return ACTIVATION(x.double().clamp(min=0) - torch.where(place < TABLE_LIMIT * TABLE_STEPS, between, 0.0))


def softmax_statistics(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return maximum and sum of exponentials, each (...), from one pass over the keys of (..., keys) scores."""
    largest = torch.full(scores.shape[:-1], _LOWEST, dtype=torch.float64, device=scores.device)
    total = torch.zeros_like(largest)
    for score in scores.unbind(-1):
        distance = largest - score
        rises = distance < 0
        shrink = ACTIVATION(torch.exp(-distance.abs()))
        total = torch.where(rises, ACTIVATION(total * shrink) + 1.0, total + shrink)
        largest = torch.where(rises, score, largest)
    return largest, total


def softmax(scores: Tensor) -> Tensor:
    """Return the weights of (..., keys) scores, formed while they are read a second time."""
    largest, total = (x.unsqueeze(-1) for x in softmax_statistics(scores))
    return ACTIVATION(ACTIVATION(torch.exp(scores - largest)) * ACTIVATION(1.0 / total))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(head_dim)) v of (..., tokens, head_dim) activations, head_dim a multiple of 8.

    Partial scores of 8 channels are scaled before they are added. Products are truncated as in `linear`.
    """
    scale = ACTIVATION(torch.tensor(q.shape[-1] ** -0.5)).to(q.device)
    partial = (a @ b.transpose(-1, -2) for a, b in zip(q.split(BEAT, -1), k.split(BEAT, -1), strict=True))
    scores = sum((ACTIVATION(ACTIVATION(x - BEAT * STEP / 2) * scale) for x in partial), start=torch.zeros_like(scale))
    return ACTIVATION(softmax(scores) @ v - k.shape[-2] * STEP / 2)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return LayerNorm over the last dimension: mean and mean of squares by one reciprocal, then root and division."""
    reciprocal = ACTIVATION(torch.tensor(1.0 / x.shape[-1])).to(x.device)
    mean = ACTIVATION(x.sum(-1, keepdim=True) * reciprocal)
    square = ACTIVATION(ACTIVATION(x * x).sum(-1, keepdim=True) * reciprocal)
    deviation = ACTIVATION(torch.sqrt((square - ACTIVATION(mean * mean)).clamp(min=0) + EPSILON))
    normed = ACTIVATION((x - mean) * ACTIVATION(1.0 / deviation))
    return ACTIVATION(ACTIVATION(normed * weight) + bias)


def choose_experts(logits: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Return scores and numbers of the `top_k` best of (..., experts) logits; the first of equals wins."""
    largest, total = (x.unsqueeze(-1) for x in softmax_statistics(logits))
    best, chosen = (x[..., :top_k] for x in logits.sort(dim=-1, descending=True, stable=True))
    return ACTIVATION(ACTIVATION(torch.exp(best - largest)) / total), chosen

"""Inner products between the weight gradients of the images of a batch, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

_NUMBERS_PER_SUM = 65_536  # gradient numbers of one image held, and summed in the gradients' own precision, at a time


def linear_gram(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the Gram matrix of the weight gradients of a linear layer.

    The gradient of image a is G_a^T X_a, (out, in). Its inner product with that of image b is also the sum of
    (X_a X_b^T) * (G_a G_b^T) over pairs of tokens; whichever takes fewer multiplications is computed.

    Args:
        x: (batch, tokens, in) inputs.
        gradient: (batch, tokens, out) gradients of the outputs.

    Returns:
        (batch, batch) float64.
    """
    batch, tokens, inside = x.shape
    outside = gradient.shape[-1]
    if batch * tokens**2 * (inside + outside) < inside * outside * (tokens + batch):
        return token_gram(x, gradient)
    gram = x.new_zeros(batch, batch, dtype=torch.float64)
    # Some outputs at a time: gradients that never leave the cache are twice as fast to make and multiply.
    for some in gradient.split(max(1, _NUMBERS_PER_SUM // inside), dim=2):
        gram += row_gram(linear_gradients(x, some))
    return gram


def linear_gradients(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the (batch, out * in) weight gradients of a linear layer."""
    return torch.bmm(gradient.transpose(1, 2), x).flatten(1)


def token_gram(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the Gram matrix of a linear layer from products of tokens; the gradients are never formed."""
    batch, tokens, _ = x.shape
    x, gradient = x.flatten(0, 1), gradient.flatten(0, 1)
    gram = x.new_empty(batch, batch, dtype=torch.float64)
    for image in range(batch):  # one image against all: a block of tokens * (batch * tokens) products
        own = slice(image * tokens, (image + 1) * tokens)
        products = (x[own] @ x.T).mul_(gradient[own] @ gradient.T)
        gram[image] = products.reshape(tokens, batch, tokens).sum(2).double().sum(0)
    return (gram + gram.T) / 2


def row_gram(rows: Tensor) -> Tensor:
    """Return the float64 inner products between the rows of (batch, numbers)."""
    gram = rows.new_zeros(len(rows), len(rows), dtype=torch.float64)
    for some in rows.split(_NUMBERS_PER_SUM, dim=1):
        gram += (some @ some.T).double()
    return gram


def layer_norm_gradients(normed: Tensor, gradient: Tensor, scales: int) -> Tensor:
    """Return the (batch, scales) gradients of the scales of a LayerNorm: sums of gradient * normalised input."""
    return (normed * gradient).reshape(len(normed), -1, scales).sum(1)


def convolution_gradients(x: Tensor, gradient: Tensor, weight: Tensor, geometry: Sequence[Any]) -> Tensor:
    """Return the (batch, numbers) weight gradients of a two-dimensional convolution.

    Args:
        x: (batch, in, height, width); gradient: (batch, out, rows, columns).
        geometry: stride, padding, dilation, each a pair, and the number of groups.
    """
    *pairs, groups = geometry
    rows = [
        torch.ops.aten.convolution_backward(
            gradient[image : image + 1],
            x[image : image + 1],
            weight,
            None,
            *pairs,
            False,
            [0, 0],
            groups,
            [False, True, False],
        )[1].flatten()
        for image in range(len(x))
    ]
    return torch.stack(rows)

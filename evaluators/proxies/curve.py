"""The circle of inputs and the speed of the features along it (As-ViT, arXiv 2202.11921; Poole et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from evaluators.proxies.dual import NoDualRuleError, dual, parts


def circle(shape: Sequence[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return two orthonormal float32 directions of input space in random position, each of the given shape."""
    first = torch.randn(*shape, generator=generator, dtype=torch.float64)
    second = torch.randn(*shape, generator=generator, dtype=torch.float64)
    first /= first.norm()
    second -= (second * first).sum() * first
    second /= second.norm()
    return first.float(), second.float()


def length_terms(module: nn.Module, first: Tensor, second: Tensor, points: int, radius: float) -> Tensor:
    """Return the speed |dz/dtheta| at every angle.

    Args:
        module: its `forward_features` maps images to (batch, features).
        first, second: orthonormal directions u0 and u1, (channels, size, size), of the module's dtype.
        points: angles, evenly spaced on [0, 2 pi] with both ends.
        radius: of the circle ``radius * (cos(theta) u0 + sin(theta) u1)``.

    Returns:
        (points,) float64. The last angle is the first again and is not computed twice.
    """
    angles = torch.linspace(0.0, 2.0 * math.pi, points, dtype=torch.float64)[:-1]
    cosine, sine = ((radius * f(angles)).to(first.dtype).reshape(-1, 1, 1, 1) for f in (torch.cos, torch.sin))
    images, tangents = cosine * first + sine * second, cosine * second - sine * first
    with torch.no_grad():
        _, velocity = forward_mode(module, images, tangents)
    speeds = velocity.double().norm(dim=1)
    return torch.cat([speeds, speeds[:1]])


def forward_mode(module: nn.Module, images: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pooled features and their derivative in the direction of `tangents`, both (batch, features).

    Networks with an operation that has no dual rule are differentiated by `torch.func.jvp`, slower but as exact.
    """
    features: Callable[[Tensor], Tensor] = module.forward_features  # type: ignore[assignment]
    try:
        return parts(features(dual(images, tangents)))
    except NoDualRuleError:
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no forward derivative
            value, velocity = torch.func.jvp(features, (images,), (tangents,))[:2]
            return value, velocity

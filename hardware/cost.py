"""Parameters and multiply-accumulates of a network, counted on the torch modules themselves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from searchspaces import Architecture, get_space

if TYPE_CHECKING:
    from torch import nn

    from searchspaces import Part


@dataclass(frozen=True)
class Cost:
    """What a network holds and does for one image.

    Args:
        params: scalars in its parameters.
        macs: multiply-accumulates of convolutions, linear layers and both attention products, as
            `torch.utils.flop_counter` counts them, halved.
        output_shape: shape of the output without the batch.
    """

    params: int
    macs: int
    output_shape: tuple[int, ...]


def network_cost(architecture: Architecture) -> Cost:
    """Return the cost of an architecture.

    Each distinct part is traced once per process on the meta device (about 5 ms) and looked up afterwards; a network
    of a space without parts is traced whole.
    """
    space = get_space(architecture.space)
    parts = space.parts(architecture)
    if parts is None:
        shape = (architecture.in_channels, architecture.image_size, architecture.image_size)
        return _trace_network(architecture, shape)
    params, macs = 0, 0
    for part in parts:
        cost = part_cost(part)
        params += cost.params
        macs += cost.macs
    return Cost(params, macs, cost.output_shape)


@lru_cache(maxsize=65536)
def part_cost(part: Part) -> Cost:
    """Return the cost of one part of a network."""
    import torch

    with torch.device("meta"):
        return _trace(part.build(), part.input_shape)


@lru_cache(maxsize=4096)
def _trace_network(architecture: Architecture, input_shape: tuple[int, ...]) -> Cost:
    import torch

    with torch.device("meta"):
        return _trace(get_space(architecture.space).build(architecture), input_shape)


def _trace(module: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """Count one module on the meta device: nothing is computed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        output = module.eval()(torch.empty(1, *input_shape, device="meta"))
    params = sum(parameter.numel() for parameter in module.parameters())
    return Cost(params, counter.get_total_flops() // 2, tuple(output.shape[1:]))

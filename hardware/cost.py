"""Parameters and multiply-accumulates of a network: the sums over its operators."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from hardware.network import Network, network_parts

if TYPE_CHECKING:
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


def network_cost(network: Network) -> Cost:
    """Return the cost of a network.

    Each distinct part is traced once per process on the meta device (about 5 ms) and looked up afterwards; a network
    of a space without parts is traced whole.
    """
    params, macs = 0, 0
    for part in network_parts(network):
        cost = part_cost(part)
        params += cost.params
        macs += cost.macs
    return Cost(params, macs, cost.output_shape)


@lru_cache(maxsize=65536)
def part_cost(part: Part) -> Cost:
    """Return the cost of one part of a network."""
    from hardware.graph.assemble import part_graph, part_operators

    operators = part_operators(part)
    params, macs = sum(o.params for o in operators), sum(o.macs for o in operators)
    return Cost(params, macs, part_graph(part).graph["output_shape"])

"""The operators of a whole network, put together from those of its parts; each distinct part is traced once."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import TYPE_CHECKING

from hardware.graph.operator import Operator
from hardware.graph.places import place_of, stage_of
from hardware.network import Network, TimmNetwork, network_label, network_parts, timm_network
from searchspaces import NasError

if TYPE_CHECKING:
    import networkx as nx

    from searchspaces import Part


def part_operators(part: Part) -> tuple[Operator, ...]:
    """Return the operators of one part in the order of execution, named from the part's own root.

    Equal parts share one tuple: it is traced once per process (10 to 30 ms a block) and looked up afterwards. Block
    and stage are left empty, since equal parts may stand in different places.
    """
    return tuple(operator for _, operator in part_graph(part).nodes(data="operator"))


@lru_cache(maxsize=65536)
def part_graph(part: Part) -> nx.DiGraph:
    """Return the graph of one part, as `trace_module` gives it; it is shared, so leave it as it is."""
    import torch

    from hardware.graph.shortcuts import NoInitialisation
    from hardware.graph.trace import trace_module

    with torch.device("meta"), NoInitialisation():
        module = part.build()
    try:
        return trace_module(module, part.input_shape)
    except (AssertionError, RuntimeError, ValueError) as error:
        network = dict(part.arguments).get("network")
        if not isinstance(network, TimmNetwork):
            raise
        size = f"image_size={network.image_size}"
        raise NasError(f"{network_label(network)} does not run at {size}: {' '.join(str(error).split())}") from error


def operators(network: Network) -> tuple[Operator, ...]:
    """Return the operators of a network in the order of execution, with the names, blocks and stages of the network."""
    return tuple(operator for part in network_parts(network) for operator in _placed(part))


def operator_graph(network: Network) -> nx.DiGraph:
    """Return the graph of a network: nodes named as in `operators`, each with the attribute `operator`.

    The graph has the attributes of `trace_module`'s: `input_shape`, `output_shape`, `readers` and `writers`.
    """
    import networkx as nx

    parts = network_parts(network)
    whole = nx.DiGraph(input_shape=parts[0].input_shape)
    ends: list[str] = []
    for part in parts:
        graph = part_graph(part)
        placed = dict(zip(graph.nodes, _placed(part), strict=True))
        for operator in placed.values():
            whole.add_node(operator.name, operator=operator)
        whole.add_edges_from((placed[a].name, placed[b].name) for a, b in graph.edges)
        if part is parts[0]:
            whole.graph["readers"] = tuple(placed[plain].name for plain in graph.graph["readers"])
        for plain in graph.graph["readers"]:
            whole.add_edges_from((end, placed[plain].name) for end in ends)
        ends = [placed[plain].name for plain in graph.graph["writers"]] or ends
        whole.graph.update(output_shape=graph.graph["output_shape"], writers=tuple(ends))
    return whole


def timm_graph(name: str, image_size: int | None = None) -> nx.DiGraph:
    """Return the graph of a network of timm by its name, such as ``deit_small_patch16_224``.

    Raises:
        NasError: if timm has no such network.
    """
    return operator_graph(timm_network(name, image_size))


def _placed(part: Part) -> tuple[Operator, ...]:
    """Return the operators of a part with the names they have in the network."""
    return _placed_as(part, part.name)


@lru_cache(maxsize=65536)
def _placed_as(part: Part, name: str) -> tuple[Operator, ...]:
    found = []
    for operator in part_operators(part):
        full = f"{name}.{operator.name}" if name else operator.name
        place, stage = name or place_of(full), stage_of(full)
        found.append(dataclasses.replace(operator, name=full, block=place, stage=stage))
    return tuple(found)

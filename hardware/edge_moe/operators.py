"""Any network on the accelerator's kernels, from the operators of its torch module (target `edge-moe-general`).

Each operator sets width and token count of the kernel it runs on, as if there were a bitstream for every stage:

- linear layers and convolutions run on the linear unit, a convolution with its patches gathered; layers with more
  parameters than the weight buffer holds run in pieces, which read the tokens again;
- every attention window is a call of the attention kernels of its own; heads run in groups;
- an unfolded map is written out, since a normalisation may follow; sums of two tensors and poolings stream them;
- activations, softmax, batch normalisation and what works on one tensor number by number are done by the unit before
  them; transposes, paddings and concatenations are addresses of the next read: all of these cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

from hardware.edge_moe.kernels import (
    Kernel,
    attention_cycles,
    attention_rows,
    ceil_div,
    copy_cycles,
    linear_cycles,
    load_cycles,
    next_power_of_two,
    norm_cycles,
    norm_load_cycles,
)
from hardware.edge_moe.platform import Platform
from hardware.graph import Operator, part_operators
from searchspaces import Part


@dataclass(frozen=True)
class PartCost:
    """What one part of a network costs.

    Args:
        kernels: names, from the root of the part, and kernels, in order.
        params: scalars in its parameters.
        written: bytes of activations it writes.
        heads: most attention heads in flight.
        weights: most parameters of a linear layer on chip.
    """

    kernels: tuple[tuple[str, Kernel], ...]
    params: int
    written: int
    heads: int
    weights: int


@lru_cache(maxsize=65536)
def part_cost(p: Platform, part: Part) -> PartCost:
    """Return the cost of a part; it is traced once per process."""
    operators = part_operators(part)
    kernels = tuple((operator.name, kernel) for operator in operators for kernel in operator_kernels(p, operator))
    heads = [dict(o.attributes)["heads"] for o in operators if o.kind == "attention_scores"]
    weights = [_features(o) for o in operators if o.kind == "matmul"]
    return PartCost(
        kernels=kernels,
        params=sum(operator.params for operator in operators),
        written=sum(o.bytes_written for o in operators if o.kind not in ("softmax", "activation", "gather")),
        heads=min(p.head_group, max(heads, default=1)),
        weights=min(p.weight_buffer, max((a * b for a, b in weights), default=1)),
    )


def operator_kernels(p: Platform, operator: Operator) -> Iterator[Kernel]:
    """Yield the kernels that one operator runs on; none if it is done on the way."""
    about: dict[str, Any] = dict(operator.attributes)
    elements = prod(operator.output)
    if about.get("constant"):
        return
    if operator.kind == "matmul":
        yield from _linear(p, about["tokens"], *_features(operator))
    elif operator.kind == "convolution":
        groups = about["groups"]
        inputs = about["in_channels"] // groups * prod(about["kernel"])
        outputs = about["out_channels"] // groups
        yield from _linear(p, elements // about["out_channels"], inputs, outputs, groups, prod(about["kernel"]) > 1)
    elif operator.kind in ("attention_scores", "attention_values"):
        yield _attention(p, operator.kind == "attention_scores", about)
    elif operator.kind == "norm" and about["norm"] != "batch":
        dim = operator.output[-1]
        cycles = norm_cycles(p, elements // dim, dim) + norm_load_cycles(p, dim)
        yield Kernel("norm", cycles, "latency", 2 * _bytes(p, elements))
    elif operator.kind == "elementwise" and len(operator.inputs) > 1:
        yield Kernel("residual_add", copy_cycles(p, ceil_div(elements, p.beat)), "port", 3 * _bytes(p, elements))
    elif operator.kind == "unfold":
        cycles = copy_cycles(p, ceil_div(elements, p.beat), scattered=True)
        yield Kernel("unfold", cycles, "port", 2 * _bytes(p, elements))
    elif operator.kind == "pooling":
        read = sum(prod(shape) for shape in operator.inputs)
        yield Kernel("pooling", copy_cycles(p, ceil_div(read, p.beat)), "port", _bytes(p, read + elements))


def _features(operator: Operator) -> tuple[int, int]:
    about: dict[str, Any] = dict(operator.attributes)
    return about["in_features"], about["out_features"]


def _linear(
    p: Platform, tokens: int, inputs: int, outputs: int, groups: int = 1, scattered: bool = False
) -> Iterator[Kernel]:
    """Yield loading and computing of a linear layer, summed over its pieces, each of some of the outputs.

    Args:
        groups: equal layers side by side, each on its own inputs, as in a grouped convolution.
        scattered: whether the inputs are gathered.
    """
    pieces = min(outputs, ceil_div(inputs * outputs, p.weight_buffer))
    share = ceil_div(outputs, pieces)
    sizes = [min(share, outputs - start) for start in range(0, outputs, share)]
    loading = groups * sum(load_cycles(p, inputs, size) for size in sizes)
    computing = [linear_cycles(p, tokens, inputs, size, scattered_read=scattered) for size in sizes]
    parameters = groups * (inputs + 1) * outputs * p.weight_bits // 8
    yield Kernel("weight_load", loading, "port", parameters)
    moved = _bytes(p, groups * tokens * (inputs * len(sizes) + outputs))
    yield Kernel("linear", groups * sum(cycles for cycles, _ in computing), computing[0][1], moved)


def _attention(p: Platform, scores: bool, about: dict[str, Any]) -> Kernel:
    """Return all windows of one attention product."""
    tokens, keys, head_dim, windows = about["tokens"], about["keys"], about["head_dim"], about["windows"]
    rows = attention_rows(p, tokens, keys)
    cycles, moved, bound = 0.0, 0, ""
    for start in range(0, about["heads"], p.head_group):
        heads = min(p.head_group, about["heads"] - start)
        own, bound = attention_cycles(p, tokens, heads, head_dim, scores, keys)
        matrix = rows * p.queries * next_power_of_two(heads) + tokens * next_power_of_two(2 * heads)
        moved += windows * _bytes(p, (tokens + rows) * heads * head_dim + matrix)
        cycles += windows * own
    return Kernel("qk_softmax" if scores else "av", cycles, bound, moved)


def _bytes(p: Platform, activations: int) -> int:
    return activations * p.activation_bits // 8

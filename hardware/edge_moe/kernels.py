"""Cycles of the accelerator's kernels (Edge-MoE, arXiv 2305.18691, and its published source). Plain numbers only.

Kernels run one after another. Inside one, reading, computing and writing overlap, so that a kernel costs the slowest of
the three and a fill.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hardware.edge_moe.platform import Platform
from searchspaces import NasError


@dataclass(frozen=True)
class Kernel:
    """One call of a kernel, or several alike in a row.

    Args:
        group: what it counts under, such as ``attn_linear``.
        cycles: of the programmable logic.
        bound: what limits it: ``compute``, ``port``, ``softmax`` or ``latency``.
        dram_bytes: bytes it moves between memory and logic.
    """

    group: str
    cycles: float
    bound: str
    dram_bytes: int = 0


def ceil_div(a: int, b: int) -> int:
    """Return a / b rounded up."""
    return -(-a // b)


def next_power_of_two(n: int) -> int:
    """Return the smallest power of two that is at least n >= 1."""
    return 1 << (n - 1).bit_length()


def _slowest(**cycles: float) -> tuple[float, str]:
    bound = max(cycles, key=lambda name: cycles[name])
    return cycles[bound], bound.rstrip("_rw")


def load_cycles(p: Platform, inputs: int, outputs: int) -> float:
    """Return the cycles to load weights and bias of a linear layer through the weight port."""
    beats = outputs * ceil_div(inputs, p.weights_per_beat) + ceil_div(outputs, p.weights_per_beat)
    return beats * p.cycles_per_beat + 2 * (p.read_latency + p.call)


def linear_trips(p: Platform, tokens: int, inputs: int, outputs: int) -> int:
    """Return the cycles the linear unit computes."""
    return tokens * ceil_div(inputs, p.tile) * ceil_div(outputs, p.tile)


def linear_cycles(
    p: Platform, tokens: int, inputs: int, outputs: int, scattered_read: bool = False, scattered_write: bool = False
) -> tuple[float, str]:
    """Return cycles and bound of a linear layer whose weights are loaded; nothing for no tokens.

    Args:
        scattered_read, scattered_write: whether each beat is a request of its own, as for tokens of an expert's queue.
    """
    if not tokens:
        return 0.0, "compute"
    rates = [p.cycles_per_scattered_beat if s else p.cycles_per_beat for s in (scattered_read, scattered_write)]
    cycles, bound = _slowest(
        compute=float(linear_trips(p, tokens, inputs, outputs)),
        port_r=tokens * ceil_div(inputs, p.beat) * rates[0],
        port_w=tokens * ceil_div(outputs, p.beat) * rates[1],
    )
    return cycles + p.read_latency + p.linear_depth + p.write_latency + p.call, bound


def patch_trips(p: Platform, channels: int, height: int, width: int, patch: int, dim: int) -> int:
    """Return the cycles the patch embedding computes."""
    pixels_per_beat = p.axi_bits // p.pixel_bits
    return height // patch * channels * patch * ceil_div(width, pixels_per_beat) * ceil_div(dim, p.beat)


def patch_cycles(p: Platform, channels: int, height: int, width: int, patch: int, dim: int) -> tuple[float, str]:
    """Return cycles and bound of the patch embedding; bands of patches are computed while the one before is written."""
    bands, blocks = height // patch, ceil_div(dim, p.beat)
    compute = patch_trips(p, channels, height, width, patch, dim) / bands
    output = width // patch * blocks * p.cycles_per_beat
    fill = blocks * p.cycles_per_beat + p.read_latency + p.write_latency + p.call
    bound = "compute" if compute >= output else "port"
    return bands * max(compute, output) + min(compute, output) + fill, bound


def attention_rows(p: Platform, tokens: int, keys: int | None = None) -> int:
    """Return the rows of keys or values streamed: queries run in groups, each one key after the one before.

    Args:
        keys: None: as many as tokens.
    """
    shifted = tokens + p.queries - 1
    return shifted // p.queries * (tokens if keys is None else keys) + shifted % p.queries


def attention_cycles(
    p: Platform, tokens: int, heads: int, head_dim: int, scores: bool, keys: int | None = None
) -> tuple[float, str]:
    """Return cycles and bound of queries times keys with its softmax statistics, or of weights times values.

    Where the last group of queries is not full, reads are no bursts and each beat costs a scattered access.

    Args:
        scores: True for queries times keys.
        keys: None: as many as tokens.
    """
    rows = attention_rows(p, tokens, keys)
    blocks = heads * ceil_div(head_dim, p.beat)
    aligned = (tokens + p.queries - 1) % p.queries == 0
    stream = rows * blocks * (p.cycles_per_beat if aligned else p.cycles_per_scattered_beat)
    matrix = rows * p.queries * p.beats(p.activation_bits * next_power_of_two(heads))
    statistics = rows * p.queries * ceil_div(p.softmax_recurrence, p.queries) if scores else 0
    cycles, bound = _slowest(port_r=stream, port_w=matrix, softmax=float(statistics))
    finish = p.attention_finish if scores else 0
    return cycles + p.read_latency + p.attention_depth + finish + p.write_latency + p.call, bound


def norm_cycles(p: Platform, tokens: int, dim: int) -> float:
    """Return the cycles of a LayerNorm; per token two stages that overlap with the next token."""
    stream = ceil_div(dim, p.beat) * p.cycles_per_beat
    first = p.read_latency + stream + p.norm_accumulate
    second = p.norm_sqrt + p.norm_divide + stream + p.norm_output + p.write_latency
    return tokens * max(first, second) + min(first, second) + p.call


def norm_load_cycles(p: Platform, dim: int) -> float:
    """Return the cycles to load scale and shift of one LayerNorm."""
    return 2 * (ceil_div(dim, p.beat) * p.beats(p.weight_bits * p.beat) + p.read_latency)


def copy_cycles(p: Platform, beats: int, scattered: bool = False) -> float:
    """Return the cycles to stream so many beats in and out, as the residual addition does."""
    rate = p.cycles_per_scattered_beat if scattered else p.cycles_per_beat
    return beats * rate + p.read_latency + p.write_latency + p.call


def gate_load_cycles(p: Platform, dim: int, experts: int) -> float:
    """Return the cycles to load the weights of a gate."""
    return experts * ceil_div(dim, p.beat) * p.beats(p.weight_bits * p.beat) + p.read_latency


def gate_cycles(p: Platform, tokens: int, dim: int, experts: int) -> tuple[float, str]:
    """Return cycles and bound of the gating: products, softmax and choice of the experts of one token after another."""
    blocks = ceil_div(dim, p.beat)
    choose = max(p.gate_interval * experts + p.gate_softmax, experts + 5)
    each = blocks + p.gate_depth + choose + p.gate_finish
    clear = tokens * blocks * p.cycles_per_beat + p.write_latency
    cycles, bound = _slowest(compute=float(tokens * each), port=clear)
    return cycles + p.read_latency + p.call, bound


def expert_cycles(p: Platform, load: Sequence[int], tokens: int, dim: int, hidden: int) -> tuple[float, str]:
    """Return cycles and bound of all experts of a layer; the next weights are loaded while an expert computes.

    Args:
        load: tokens in the queue of each expert; empty queues cost nothing.
        tokens: of the layer; an expert that gets them all reads them in bursts.
    """
    first, second = load_cycles(p, dim, hidden), load_cycles(p, hidden, dim)
    total, loading, active = first, first, [n for n in load if n]
    for place, n in enumerate(active, 1):
        up, _ = linear_cycles(p, n, dim, hidden, scattered_read=n != tokens)
        down, _ = linear_cycles(p, n, hidden, dim, scattered_write=True)
        following = first if place < len(active) else 0.0
        total += max(up, second) + max(down, following)
        loading += (second if second > up else 0.0) + (following if following > down else 0.0)
    return total, "port" if loading > total / 2 else "compute"


def expert_loads(p: Platform, tokens: int, experts: int, top_k: int) -> tuple[int, ...]:
    """Return the tokens of each expert: those of the option `expert_load`, else `top_k * tokens` shared out evenly.

    Raises:
        NasError: if the option is for another number of experts or routed tokens.
    """
    routed = top_k * tokens
    if p.expert_load is not None:
        if len(p.expert_load) != experts or sum(p.expert_load) != routed:
            raise NasError(
                f"expert_load has {len(p.expert_load)} experts and {sum(p.expert_load)} routed tokens; the network has "
                f"{experts} and {routed}"
            )
        return p.expert_load
    active = max(top_k, math.ceil(p.active_fraction * experts))
    share, rest = divmod(routed, active)
    return tuple(share + (i < rest) if i < active else 0 for i in range(experts))

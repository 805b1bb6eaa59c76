"""The kernel calls of an isotropic network, in the order of the design's schedule, with the bytes each moves."""

from __future__ import annotations

from functools import lru_cache

from hardware.edge_moe.kernels import (
    Kernel,
    attention_cycles,
    attention_rows,
    ceil_div,
    copy_cycles,
    expert_cycles,
    expert_loads,
    gate_cycles,
    gate_load_cycles,
    linear_cycles,
    load_cycles,
    next_power_of_two,
    norm_cycles,
    norm_load_cycles,
    patch_cycles,
)
from hardware.edge_moe.platform import Platform
from searchspaces.m3vit import Dense, Experts, Network


def stem_kernels(p: Platform, network: Network) -> tuple[Kernel, ...]:
    """Return the patch embedding; its output stage adds the position table."""
    channels, height, width = network[:3]
    cycles, bound = patch_cycles(p, channels, height, width, network.patch, network.dim)
    moved = channels * height * width * p.pixel_bits // 8 + 2 * _activations(p, network.tokens, network.dim)
    return (Kernel("patch_embed", cycles, bound, moved),)


@lru_cache(maxsize=65536)
def layer_kernels(p: Platform, tokens: int, dim: int, heads: int, ffn: Dense | Experts) -> tuple[Kernel, ...]:
    """Return the kernels of one transformer layer.

    Args:
        ffn: its feed-forward half.

    Raises:
        NasError: if the option `expert_load` does not fit the mixture.
    """
    own = _activations(p, tokens, dim)
    first = norm_cycles(p, tokens, dim) + norm_load_cycles(p, dim)
    norm = Kernel("norm", first, "latency", 2 * own)
    add = Kernel("residual_add", copy_cycles(p, tokens * ceil_div(dim, p.beat)), "port", 3 * own)
    return (norm, *_attention(p, tokens, dim, heads), add, norm, *_feed_forward(p, tokens, dim, ffn), add)


def _attention(p: Platform, tokens: int, dim: int, heads: int) -> list[Kernel]:
    own, head_dim = _activations(p, tokens, dim), dim // heads
    weights = (dim * dim + dim) * p.weight_bits // 8
    loads = 4 if p.barriers else 1  # without barriers the other three are hidden behind computing
    cycles, bound = linear_cycles(p, tokens, dim, dim)
    rows, parallel = attention_rows(p, tokens), p.queries
    streamed = _activations(p, rows, dim)
    matrix = _activations(p, rows * parallel, next_power_of_two(heads))
    statistics = _activations(p, tokens, next_power_of_two(2 * heads))
    scores, values = (attention_cycles(p, tokens, heads, head_dim, scores) for scores in (True, False))
    return [
        Kernel("attn_weight_load", loads * load_cycles(p, dim, dim), "port"),
        Kernel("attn_linear", 4 * cycles, bound, 8 * own + 4 * weights),
        Kernel("qk_softmax", *scores, own + streamed + matrix + statistics),
        Kernel("av", *values, streamed + matrix + statistics + own),
    ]


def _feed_forward(p: Platform, tokens: int, dim: int, ffn: Dense | Experts) -> list[Kernel]:
    own, hidden = _activations(p, tokens, dim), ffn.hidden
    per_expert = (2 * dim * hidden + hidden + dim) * p.weight_bits // 8
    if isinstance(ffn, Dense):
        first, second = load_cycles(p, dim, hidden), load_cycles(p, hidden, dim)
        (up, bound), (down, _) = linear_cycles(p, tokens, dim, hidden), linear_cycles(p, tokens, hidden, dim)
        cycles = first + (up + second if p.barriers else max(up, second)) + down
        moved = 2 * own + 2 * _activations(p, tokens, hidden) + per_expert
        return [Kernel("dense_ffn", cycles, bound, moved)]
    load = expert_loads(p, tokens, ffn.experts, ffn.top_k)
    choosing, gate_bound = gate_cycles(p, tokens, dim, ffn.experts)
    cycles, bound = expert_cycles(p, load, tokens, dim, hidden)
    moved = _activations(p, sum(load), 3 * dim + 2 * hidden) + sum(1 for n in load if n) * per_expert
    gate = gate_load_cycles(p, dim, ffn.experts) + choosing
    gate_moved = 2 * own + ffn.experts * dim * p.weight_bits // 8
    return [Kernel("gating", gate, gate_bound, gate_moved), Kernel("experts", cycles, bound, moved)]


def _activations(p: Platform, tokens: int, dim: int) -> int:
    return tokens * dim * p.activation_bits // 8


def working_set(p: Platform, network: Network) -> int:
    """Return the bytes in memory: parameters, the five token tensors, hidden activations and the attention matrix."""
    tokens, dim = network.tokens, network.dim
    widest = max([layer.hidden * (layer.top_k if isinstance(layer, Experts) else 1) for layer in network.layers])
    matrix = _activations(p, attention_rows(p, tokens) * p.queries, next_power_of_two(network.heads))
    statistics = _activations(p, tokens, next_power_of_two(2 * network.heads))
    return _activations(p, tokens, 5 * dim + widest) + matrix + statistics + parameter_bytes(p, network)


def parameter_bytes(p: Platform, network: Network) -> int:
    """Return the bytes of the parameters the accelerator reads, and the position table in activations."""
    dim, count = network.dim, network.channels * network.patch**2 * network.dim + network.dim
    for ffn in network.layers:
        count += 4 * (dim * dim + dim) + 4 * dim
        copies = ffn.experts if isinstance(ffn, Experts) else 1
        count += copies * (2 * dim * ffn.hidden + ffn.hidden + dim)
        count += ffn.experts * dim if isinstance(ffn, Experts) else 0
    return count * p.weight_bits // 8 + _activations(p, network.tokens, dim)

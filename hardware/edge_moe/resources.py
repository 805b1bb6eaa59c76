"""DSP slices and block memories of a build, estimated from the widths of its units (+- 15 % expected)."""

from __future__ import annotations

from dataclasses import dataclass

from hardware.edge_moe.kernels import ceil_div
from hardware.edge_moe.platform import Platform
from searchspaces.m3vit import Experts, Network


@dataclass(frozen=True)
class Sizes:
    """What a bitstream fixes.

    Args:
        dim: width of the tokens, the largest.
        heads: the most heads in flight.
        experts: of a mixture layer, 0 without one.
        weights: largest linear layer kept on chip, parameters.
        patch: (channels, side, patches per row) of the patch embedding unit; None without one.
    """

    dim: int
    heads: int
    experts: int
    weights: int
    patch: tuple[int, int, int] | None

    @classmethod
    def of(cls, network: Network) -> Sizes:
        """Return the sizes of the build for an isotropic network."""
        experts = max((layer.experts for layer in network.layers if isinstance(layer, Experts)), default=0)
        weights = network.dim * max(network.dim, *(layer.hidden for layer in network.layers))
        patch = (network.channels, network.patch, network.width // network.patch)
        return cls(network.dim, network.heads, experts, weights, patch)


@dataclass(frozen=True)
class Resources:
    """Use of the device by unit: a 27 x 18 multiplier does 8 x 16 bits; 32 x 16 takes two, 32 x 32 four."""

    dsp: dict[str, int]
    bram36: dict[str, int]

    @property
    def total_dsp(self) -> int:
        """DSP slices."""
        return sum(self.dsp.values())

    @property
    def total_bram36(self) -> int:
        """36-kilobit block memories."""
        return sum(self.bram36.values())

    def misfit(self, p: Platform) -> str | None:
        """Return why a build does not fit the device, None if it does."""
        over = [
            f"{used} {name} of {there}"
            for name, used, there in (("DSP", self.total_dsp, p.dsp), ("BRAM36", self.total_bram36, p.bram36))
            if used > there
        ]
        return f"does not fit: needs {' and '.join(over)}" if over else None


def block_memories(width: int, depth: int) -> int:
    """Return the BRAM36 of a memory of `depth` words of `width` bits, in the best of their shapes."""
    return min(ceil_div(width, w) * ceil_div(depth, d) for w, d in ((72, 512), (36, 1024), (18, 2048)))


def resources(p: Platform, sizes: Sizes) -> Resources:
    """Return the estimated use of a build."""
    beat, parallel, heads, tile = p.beat, p.queries, sizes.heads, p.tile
    dsp = {
        "linear": 2 * tile * tile,
        "qk": 4 * parallel * beat + 4 * parallel,
        "av": 4 * parallel * beat + 4 * parallel * heads,
        "exp": 6 * heads * (1 + parallel),
        "softmax_stats": 8 * heads,
        "gelu": 2 * tile,
        "layernorm": 2 * 14 * beat,
    }
    bram36 = {
        "linear_ping_pong": 2 * block_memories(tile * tile * p.weight_bits, ceil_div(sizes.weights, tile * tile)),
        "axi_fifos": 5 * 2 * block_memories(p.axi_bits, 512),
        "gelu_rom": ceil_div(tile, 2),
        "exp_tables": heads * (1 + parallel),
    }
    if sizes.experts:
        dsp |= {"gating": 2 * sizes.experts * beat + 20, "moe_score": 4 * beat}
        bram36["expert_queues"] = sizes.experts
    if sizes.patch is not None:
        channels, side, across = sizes.patch
        blocks = ceil_div(sizes.dim, beat)
        dsp["patch_embed"] = p.axi_bits // p.pixel_bits * beat
        bram36["patch_embed_w"] = block_memories(beat * side * p.weight_bits, blocks * channels * side)
        bram36["patch_buf"] = 2 * block_memories(2 * p.axi_bits, ceil_div(across, 2) * blocks)
    return Resources(dsp, bram36)

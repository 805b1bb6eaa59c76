"""The targets `edge-moe-zcu102` and `edge-moe-general` (Edge-MoE, arXiv 2305.18691, on an AMD ZCU102)."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

from hardware.edge_moe.encoder import layer_kernels, stem_kernels, working_set
from hardware.edge_moe.kernels import Kernel
from hardware.edge_moe.operators import PartCost, part_cost
from hardware.edge_moe.platform import PUBLISHED_LATENCY_MS, PUBLISHED_POWER_W, STATIC_POWER_W, Platform
from hardware.edge_moe.resources import Resources, Sizes, resources
from hardware.edge_moe.rules import require_runnable
from hardware.estimate import Estimate, Quantity, Share
from hardware.network import Network, network_label, network_parts
from hardware.target import Target, UnsupportedError, register_target
from searchspaces import Architecture, Part, get_space
from searchspaces.m3vit import Dense, Experts, M3ViTSpace
from searchspaces.m3vit import Network as Sizing

SHIPPED = Sizes(dim=192, heads=3, experts=16, weights=192 * 768, patch=(3, 16, 16))
_SHIPPED_DSP = resources(Platform(), SHIPPED).total_dsp
_CALIBRATED = f"calibrated on one published point, {PUBLISHED_LATENCY_MS} ms for the shipped network"
_HEAD = "the classifier runs on the processor and is not counted"
_POWER = f"calibrated on one published point, {PUBLISHED_POWER_W} W of the shipped build"
_OTHER_POWER = "power uncalibrated: scaled by DSP and clock from the shipped build"
_NO_BITSTREAM = "no such bitstream exists: the design has one width for the whole network"


class EdgeMoe(Target):
    """What both targets share.

    Args:
        options: of the model, `Platform()` unless given; knobs that an architecture has itself come first.
    """

    precisions: ClassVar = ("w16a32",)

    def __init__(self, options: Platform | None = None) -> None:
        self.options = Platform() if options is None else options

    def platform(self, network: Network) -> Platform:
        """Return the options with the accelerator's knobs of the architecture, if it has any."""
        if not isinstance(network, Architecture) or "accelerator.tile" not in network.choices:
            return self.options
        return _with_knobs(self.options, network.choices["accelerator.tile"], network.choices["accelerator.queries"])

    def _estimate(
        self,
        p: Platform,
        size: int,
        cycles: float,
        breakdown: tuple[Share, ...],
        used: Resources,
        dram_bytes: int,
        working: float,
        notes: tuple[str, str],
    ) -> Estimate:
        """Put an estimate together; `notes` say how far latency and power can be trusted."""
        power = _power(p, used)
        latency = size * p.milliseconds(cycles)
        bandwidth = dram_bytes / p.milliseconds(cycles) / 1e6
        details: tuple[tuple[str, float | str], ...] = (
            ("DSP", used.total_dsp),
            ("DSP of the device", p.dsp),
            ("BRAM36", used.total_bram36),
            ("BRAM36 of the device", p.bram36),
            ("LUT and FF", "not modelled"),
            ("DRAM bytes per image", dram_bytes),
            ("DRAM GB/s", bandwidth),
            ("DRAM share of peak", bandwidth / p.ddr_gbs),
            ("power W", power),
            ("cycles per image", cycles),
            ("clock MHz", p.clock_mhz),
            ("feasible", "yes"),
        )
        return Estimate(
            target=self.name,
            batch_size=size,
            precision=self.precisions[0],
            latency_ms=Quantity(latency, "model", note=notes[0]),
            energy_mj=Quantity(power * latency, "model", note=notes[1]),
            memory_mb=Quantity(working / 1e6, "model", note="parameters, token tensors and the attention matrix"),
            breakdown=breakdown,
            details=details,
        )


@register_target
class EdgeMoeZcu102(EdgeMoe):
    """The design rebuilt for an isotropic network, with the same units at the same clock."""

    name = "edge-moe-zcu102"
    meaning = "Edge-MoE FPGA accelerator on a ZCU102: isotropic ViTs with dense and expert layers (space m3vit)"

    def estimate(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return the estimate; images run one after another.

        Raises:
            UnsupportedError: for another kind of network, or one whose build breaks a rule or does not fit.
        """
        size, _ = self.settle(batch_size, precision)
        sizing, p = self.require_supported(architecture), self.platform(architecture)
        used = _runnable(p, sizing)
        cycles, dram_bytes, breakdown = _encoder(p, sizing, size)
        shipped = p == Platform() and Sizes.of(sizing) == SHIPPED
        build = _CALIBRATED if shipped else f"{_CALIBRATED}; this network needs a build of its own"
        notes = (f"{build}; {_HEAD}", _POWER if shipped else _OTHER_POWER)
        return self._estimate(p, size, cycles, breakdown, used, dram_bytes, working_set(p, sizing), notes)

    def require_supported(self, network: Network) -> Sizing:
        """Return the sizes of an isotropic network.

        Raises:
            UnsupportedError: for any other network, with the reason.
        """
        if isinstance(network, Architecture) and isinstance(space := get_space(network.space), M3ViTSpace):
            return space.network(network)
        reason = _why_not_isotropic(network)
        raise UnsupportedError(
            f"unsupported: {network_label(network)} {reason}; {self.name} runs networks of the space 'm3vit', and "
            "edge-moe-general estimates others"
        )


@register_target
class EdgeMoeGeneral(EdgeMoe):
    """The same kernels re-parametrised per stage, for networks the design cannot run."""

    name = "edge-moe-general"
    meaning = "Edge-MoE's kernels with sizes of their own per stage, for any network; no such bitstream exists"

    def estimate(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return the estimate; images run one after another. The part named ``head`` is left to the processor.

        Raises:
            UnsupportedError: if the units do not fit the device.
        """
        size, _ = self.settle(batch_size, precision)
        p = self.platform(architecture)
        notes = (f"{_NO_BITSTREAM}; constants {_CALIBRATED}", f"{_NO_BITSTREAM}; power uncalibrated")
        space = get_space(architecture.space) if isinstance(architecture, Architecture) else None
        if isinstance(space, M3ViTSpace) and isinstance(architecture, Architecture):
            sizing = space.network(architecture)
            used = _fitting(p, Sizes.of(sizing))
            cycles, dram_bytes, breakdown = _encoder(p, sizing, size)
            return self._estimate(p, size, cycles, breakdown, used, dram_bytes, working_set(p, sizing), notes)
        cycles, dram_bytes, params, written, heads, weights = 0.0, 0, 0, 0, 1, 1
        shares: list[Share] = []
        for part in network_parts(architecture):
            if part.name == "head":
                continue
            cost, own, own_cycles, own_bytes = _part(p, part.name, part, size)
            shares += own
            cycles, dram_bytes = cycles + own_cycles, dram_bytes + own_bytes
            params, written = params + cost.params, max(written, cost.written)
            heads, weights = max(heads, cost.heads), max(weights, cost.weights)
        used = _fitting(p, Sizes(dim=0, heads=heads, experts=0, weights=weights, patch=None))
        working = written + params * p.weight_bits / 8
        return self._estimate(p, size, cycles, tuple(shares), used, dram_bytes, working, notes)


def _power(p: Platform, used: Resources) -> float:
    """Return watts: an assumed constant, and what the shipped build takes beyond it, scaled by DSP and clock."""
    scale = used.total_dsp / _SHIPPED_DSP * p.clock_mhz / Platform().clock_mhz
    return STATIC_POWER_W + (PUBLISHED_POWER_W - STATIC_POWER_W) * scale


def _why_not_isotropic(network: Network) -> str:
    if not isinstance(network, Architecture):
        return "is known by its operators only"
    stages = get_space(network.space).stages(network)
    widths = [stage.get("dim") for stage in stages]
    if len(set(widths)) > 1:
        return f"has stages of different widths ({', '.join(map(str, widths))})"
    if any("window" in stage for stage in stages):
        return "attends inside windows"
    return "has other layers than the design"


def _encoder(p: Platform, sizing: Sizing, size: int) -> tuple[float, int, tuple[Share, ...]]:
    """Return cycles and bytes per image of an isotropic network, and the shares of the batch."""
    cycles, moved, shares = _shares(p, size, "stem", stem_kernels(p, sizing))
    found = list(shares)
    for number, ffn in enumerate(sizing.layers, 1):
        more, more_bytes, shares = _layer(p, size, number, sizing.tokens, sizing.dim, sizing.heads, ffn)
        cycles, moved = cycles + more, moved + more_bytes
        found += shares
    return cycles, moved, tuple(found)


@lru_cache(maxsize=65536)
def _layer(
    p: Platform, size: int, number: int, tokens: int, dim: int, heads: int, ffn: Dense | Experts
) -> tuple[float, int, tuple[Share, ...]]:
    return _shares(p, size, f"stage1.block{number}", layer_kernels(p, tokens, dim, heads, ffn))


def _shares(p: Platform, size: int, place: str, kernels: tuple[Kernel, ...]) -> tuple[float, int, tuple[Share, ...]]:
    """Return cycles, bytes and the shares of some kernels; those of one group are one share."""
    groups: dict[str, list[Kernel]] = {}
    for kernel in kernels:
        groups.setdefault(kernel.group, []).append(kernel)
    shares = tuple(
        Share(f"{place}.{group}", group, size * p.milliseconds(sum(k.cycles for k in some)), some[0].bound)
        for group, some in groups.items()
    )
    return sum(kernel.cycles for kernel in kernels), sum(kernel.dram_bytes for kernel in kernels), shares


@lru_cache(maxsize=65536)
def _part(p: Platform, name: str, part: Part, size: int) -> tuple[PartCost, tuple[Share, ...], float, int]:
    """Return the cost of a part, its shares of the batch, and its cycles and bytes per image."""
    cost = part_cost(p, part)
    shares = tuple(
        Share(f"{name}.{own}" if name else own, kernel.group, size * p.milliseconds(kernel.cycles), kernel.bound)
        for own, kernel in cost.kernels
    )
    kernels = [kernel for _, kernel in cost.kernels]
    return cost, shares, sum(k.cycles for k in kernels), sum(k.dram_bytes for k in kernels)


@lru_cache(maxsize=4096)
def _with_knobs(p: Platform, tile: int, queries: int) -> Platform:
    return p.replace(tile=tile, queries=queries)


@lru_cache(maxsize=65536)
def _runnable(p: Platform, sizing: Sizing) -> Resources:
    return require_runnable(p, sizing)


@lru_cache(maxsize=65536)
def _fitting(p: Platform, sizes: Sizes) -> Resources:
    """Return the resources of units of these sizes.

    Raises:
        UnsupportedError: if they do not fit the device.
    """
    used = resources(p, sizes)
    if (misfit := used.misfit(p)) is not None:
        raise UnsupportedError(f"unsupported: the units for this network {misfit}")
    return used

"""From networks to plans: shape-only plans of their parts for estimates, and whole plans with constants to run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hardware.network import Network, build_network, network_parts
from hardware.tvm_int8.isa import Isa
from hardware.tvm_int8.lower import lower
from hardware.tvm_int8.plan import Kernel, Plan
from hardware.tvm_int8.record import merge_ranges, record
from searchspaces import Part

CALIBRATION_IMAGES = 2


@dataclass(frozen=True, eq=False)
class PartOutline:
    """What a part of a network runs, without its numbers.

    Args:
        calls: kernel, layer and kind of operator of each call, in order.
        weight_bytes: of all constants.
        peak_bytes: the most activations alive at once.
    """

    calls: tuple[tuple[Kernel, str, str], ...]
    weight_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Outline:
    """What a network runs: its parts by name, in order."""

    parts: tuple[tuple[str, PartOutline], ...]

    def kernels(self) -> list[Kernel]:
        """Return the kernel of each call, in order."""
        return [kernel for _, part in self.parts for kernel, _, _ in part.calls]

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(part.weight_bytes for _, part in self.parts)

    @property
    def peak_bytes(self) -> int:
        """The most bytes of activations alive at once."""
        return max(part.peak_bytes for _, part in self.parts)


def outline(network: Network, isa: Isa) -> Outline:
    """Return what a network runs; each distinct part is worked out once (about 0.1 s) and looked up afterwards.

    Raises:
        UnsupportedError: for an operator without an integer kernel, naming it.
    """
    *inner, last = network_parts(network)
    found = [(part.name, _part_outline(part, isa, False)) for part in inner]
    return Outline((*found, (last.name, _part_outline(last, isa, True))))


@lru_cache(maxsize=65536)
def _part_outline(part: Part, isa: Isa, last: bool) -> PartOutline:
    import torch

    with torch.device("meta"):
        module = part.build()
    recording = record(module, torch.empty(1, *part.input_shape, device="meta"))
    plan = lower(recording, isa, inner=True, last=last)
    calls = tuple((call.kernel, call.layer, call.kind) for call in plan.calls)
    return PartOutline(calls, plan.weight_bytes(), plan.peak_bytes())


def random_plan(network: Network, isa: Isa, seed: int = 0) -> Plan:
    """Return the whole plan of a freshly initialised network, its scales from random images: what is timed."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = build_network(network)
        shape = (CALIBRATION_IMAGES, network.in_channels, network.image_size, network.image_size)
        images = torch.randn(shape)
    return lower(merge_ranges([record(module, image[None]) for image in images]), isa)

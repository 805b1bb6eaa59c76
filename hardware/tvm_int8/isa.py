"""The instructions an int8 product can use, and which of them the processor at hand has."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Isa:
    """One way to multiply small integers.

    Args:
        name: word for it in notes and caches.
        mcpu: processor the code generator is told, "" for the one at hand.
        needs: flags of the processor, as the kernel lists them, without which the code does not run.
        intrinsic: LLVM's name of the instruction; "" for plain loops.
        lanes: 32-bit sums of one instruction.
        group: products that one instruction adds to each of its sums.
        packed: type of the packed activations; packed weights are int8, widened as they are read where need be.
        zero: what packing adds to an activation to bring it into the type `packed`.
        accumulates: whether the instruction adds to its sums itself.
        registers: vector registers.
    """

    name: str
    mcpu: str
    needs: tuple[str, ...]
    intrinsic: str
    lanes: int
    group: int
    packed: str
    zero: int
    accumulates: bool
    registers: int


# vpdpbusd multiplies unsigned by signed bytes: activations are packed with 128 added, and the bias takes it back.
VNNI = Isa(
    name="avx512_vnni",
    mcpu="cascadelake",
    needs=("avx512f", "avx512bw", "avx512vl", "avx512_vnni"),
    intrinsic="llvm.x86.avx512.vpdpbusd.512",
    lanes=16,
    group=4,
    packed="uint8",
    zero=128,
    accumulates=True,
    registers=32,
)
# vpmaddwd on bytes widened to 16 bits: exact, and the peak is twice that of fp32. (vpmaddubsw takes bytes but saturates
# its 16-bit sums, so it is exact for 7-bit weights only, and it needs a second instruction to reach 32 bits.)
AVX2 = Isa(
    name="avx2",
    mcpu="haswell",
    needs=("avx2",),
    intrinsic="llvm.x86.avx2.pmadd.wd",
    lanes=8,
    group=2,
    packed="int16",
    zero=0,
    accumulates=False,
    registers=16,
)
PLAIN = Isa(
    name="plain loops",
    mcpu="",
    needs=(),
    intrinsic="",
    lanes=8,
    group=1,
    packed="int8",
    zero=0,
    accumulates=False,
    registers=16,
)
ISAS = (VNNI, AVX2, PLAIN)  # the fastest first


@lru_cache(maxsize=1)
def processor() -> tuple[str, frozenset[str]]:
    """Return name and flags of the processor at hand; no flags where the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), frozenset()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return fields.get("model name", platform.machine()), frozenset(fields.get("flags", "").split())


def runs_here(isa: Isa) -> bool:
    """Return whether the processor at hand has every flag that `isa` needs."""
    return set(isa.needs) <= processor()[1]


def best_isa() -> Isa:
    """Return the fastest of `ISAS` that runs on the processor at hand."""
    return next(isa for isa in ISAS if runs_here(isa))

"""Latency on a processor with AVX512-VNNI from six coefficients, for machines that have none to measure on.

The figures below were measured once, on one thread of a 2-core x86-64 virtual machine with AVX512-VNNI, with TVM 0.27
and kernels of the same design as these (the same micro-kernel, the ShiftGELU table, residual sums inside products): the
operators of DeiT-T one by one, and three whole networks. The coefficients are fitted to the operators and to the whole
DeiT-T; the other networks were never fitted, and the error stated with each estimate is the mean over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hardware.estimate import Estimate, Quantity
from hardware.network import Network
from hardware.tvm_int8.isa import VNNI
from hardware.tvm_int8.network import PartOutline, outline
from hardware.tvm_int8.predict import assemble, by_kind

TOKENS = 197  # of DeiT at 224 px, class token included
PATCH_NUMBERS = 768  # 16 x 16 pixels, three channels
CLASSES = 1000
# Residual sums, which are kernels of their own here, were part of the products there: they cost nothing extra.
WORK = ("macs", "sums", "softmax", "norm", "activation", "moved")

# Microseconds of one call in DeiT-T (width 192, 3 heads, MLP 768), with what the call does.
OPERATORS_US: tuple[tuple[str, float, dict[str, float]], ...] = (
    ("layer norm", 58, {"norm": TOKENS * 192}),
    ("qkv", 79, {"macs": TOKENS * 576 * 192, "sums": TOKENS * 576}),
    ("split and pack", 7, {"moved": TOKENS * 576}),
    ("queries times keys", 78, {"macs": 3 * TOKENS * TOKENS * 64, "sums": 3 * TOKENS * TOKENS}),
    ("shiftmax", 123, {"softmax": 3 * TOKENS * TOKENS}),
    ("weights times values", 30, {"macs": 3 * TOKENS * 64 * TOKENS, "sums": TOKENS * 192}),
    ("projection", 29, {"macs": TOKENS * 192 * 192, "sums": TOKENS * 192}),
    ("fc1", 106, {"macs": TOKENS * 768 * 192, "sums": TOKENS * 768}),
    ("shiftgelu", 97, {"activation": TOKENS * 768}),
    ("fc2", 81, {"macs": TOKENS * 192 * 768, "sums": TOKENS * 192}),
    ("patch embedding", 80, {"macs": (TOKENS - 1) * 192 * PATCH_NUMBERS, "sums": (TOKENS - 1) * 192}),
    ("classifier", 6, {"macs": CLASSES * 192, "sums": CLASSES}),
)
SHIFTGELU_WITHOUT_TABLE_US = 286.0  # the same call in the variant of kernels whose (256, 4, 8) was measured


@dataclass(frozen=True)
class Whole:
    """A whole network that was measured.

    Args:
        dim, heads, depth: of a DeiT.
        milliseconds: CPU time of one image.
        table: whether ShiftGELU was a table.
    """

    dim: int
    heads: int
    depth: int
    milliseconds: float
    table: bool


FITTED_NETWORK = Whole(192, 3, 12, 12.4, True)
# The first with the factor of its own variant of the kernels, 14.5 ms for DeiT-T.
HELD_OUT = (Whole(256, 4, 8, 13.5, False), Whole(384, 6, 12, 28.7, True))
FITTED_WITHOUT_TABLE = Whole(192, 3, 12, 14.5, False)


@dataclass(frozen=True)
class Reference:
    """The fitted coefficients.

    Args:
        seconds: per unit of each kind of work.
        factor: time of a whole network over the sum of its kernels.
        error: mean absolute relative error on `HELD_OUT`.
    """

    seconds: dict[str, float]
    factor: float
    error: float

    def kernel_seconds(self, work: dict[str, float]) -> float:
        """Return the predicted time of one call, alone."""
        return sum(self.seconds.get(kind, 0.0) * amount for kind, amount in work.items())


@lru_cache(maxsize=1)
def fitted() -> Reference:
    """Return the coefficients that make the relative errors of the operators least in squares, none below zero."""
    from scipy.optimize import nnls

    rows = np.array([[work.get(kind, 0.0) / us for kind in WORK] for _, us, work in OPERATORS_US])
    scale = rows.max(0)
    found = nnls(rows / scale, np.ones(len(rows)))[0] / scale
    seconds = dict(zip(WORK, (found * 1e-6).tolist(), strict=True))

    def summed(network: Whole) -> float:
        slow = {} if network.table else {"activation": SHIFTGELU_WITHOUT_TABLE_US * 1e-6 / (TOKENS * 768)}
        return Reference({**seconds, **slow}, 1.0, 0.0).kernel_seconds(_deit_work(network))

    def factor(network: Whole) -> float:
        return network.milliseconds / 1e3 / summed(network)

    errors = []
    for network in HELD_OUT:
        known = FITTED_NETWORK if network.table else FITTED_WITHOUT_TABLE
        errors.append(abs(factor(known) / factor(network) - 1))
    return Reference(seconds, factor(FITTED_NETWORK), float(np.mean(errors)))


def _deit_work(network: Whole) -> dict[str, float]:
    """Return the work of a whole DeiT of this width, number of heads (of 64 channels) and depth."""
    dim, heads, depth = network.dim, network.heads, network.depth
    tokens = float(TOKENS)
    products = tokens * dim * 12 * dim + 2 * heads * tokens * tokens * 64
    return {
        "macs": depth * products + (tokens - 1) * dim * PATCH_NUMBERS + CLASSES * dim,
        "sums": depth * (tokens * dim * 10 + heads * tokens * tokens) + (tokens - 1) * dim + CLASSES,
        "softmax": depth * heads * tokens * tokens,
        "norm": (2 * depth + 1) * tokens * dim,
        "activation": depth * tokens * 4 * dim,
        "moved": depth * tokens * 3 * dim,
    }


def reference_estimate(name: str, network: Network, batch_size: int) -> Estimate:
    """Return the estimate for a processor with AVX512-VNNI; about 20 microseconds once the parts were seen."""
    reference = fitted()
    found = outline(network, VNNI)
    summed = sum(sum(_part_seconds(part).values()) for _, part in found.parts)
    note = (
        f"a model of {len(WORK)} coefficients, from published figures of another machine with VNNI; its error is that "
        f"on {len(HELD_OUT)} DeiTs, other networks were not compared"
    )
    latency = Quantity(1e3 * batch_size * reference.factor * summed, "model", reference.error, note=note)
    return assemble(name, found, batch_size, latency, VNNI, _part_seconds)


@lru_cache(maxsize=65536)
def _part_seconds(part: PartOutline) -> dict[str, float]:
    return by_kind(part, lambda kernel: fitted().kernel_seconds(kernel.work()))

"""Estimates of int8 networks: the sum of the operator table and what a whole network adds, and the fit of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hardware.estimate import Estimate, Quantity, Share
from hardware.network import Network
from hardware.tvm_int8.arithmetic import Array
from hardware.tvm_int8.isa import Isa
from hardware.tvm_int8.network import Outline, PartOutline, outline, random_plan
from hardware.tvm_int8.plan import Kernel
from hardware.tvm_int8.table import Fit, Table
from searchspaces import NasError

MEGABYTE = 1e6
PRODUCTS = frozenset({"matmul", "convolution", "attention_scores", "attention_values"})
MEMORY_NOTE = "packed weights, tables, and the most activations alive at once, for one image at a time"
UNFITTED = "the sum of its kernels, measured one by one; `nas profile --target tvm-cpu` fits what a whole network adds"


@dataclass(frozen=True)
class Measured:
    """One network: seconds measured whole, seconds of its kernels one by one, bytes of its weights, kernel calls."""

    whole: float
    summed: float
    weight_bytes: int
    calls: int


def table_estimate(name: str, network: Network, batch_size: int, table: Table) -> Estimate:
    """Return the estimate from the operator table; kernels never measured are measured now (0.4 s each)."""
    found = outline(network, table.isa)
    times = table.times(found.kernels())
    summed = sum(times[kernel] for kernel in found.kernels())
    if table.fit is None:
        latency = Quantity(1e3 * batch_size * summed, "model", note=UNFITTED)
    else:
        value = 1e3 * batch_size * table.fit.seconds(summed, found.weight_bytes, len(found.kernels()))
        latency = Quantity(value, "fitted", table.fit.error, (value * table.fit.low, value * table.fit.high), 0.9)

    def shares(part: PartOutline) -> dict[str, float]:
        return by_kind(part, lambda kernel: times[kernel])

    return assemble(name, found, batch_size, latency, table.isa, shares)


def by_kind(part: PartOutline, seconds: Callable[[Kernel], float]) -> dict[str, float]:
    """Return the seconds of a part's kernels added up by kind of operator."""
    total: dict[str, float] = {}
    for kernel, _, kind in part.calls:
        total[kind] = total.get(kind, 0.0) + seconds(kernel)
    return total


def assemble(
    name: str,
    found: Outline,
    batch_size: int,
    latency: Quantity,
    isa: Isa,
    shares: Callable[[PartOutline], Mapping[str, float]],
) -> Estimate:
    """Return an estimate with one share of the latency for each part and kind of operator in it."""
    divided = [(part, kind, value) for part, outlined in found.parts for kind, value in shares(outlined).items()]
    scale = latency.value / sum(value for _, _, value in divided)
    breakdown = tuple(
        Share(part or "network", kind, scale * value, "compute" if kind in PRODUCTS else "memory")
        for part, kind, value in divided
    )
    details = (("instructions", isa.name), ("kernel calls", float(len(found.kernels()))))
    return Estimate(name, batch_size, "int8", latency, None, memory_of(found), breakdown, details)


def memory_of(found: Outline) -> Quantity:
    """Return the memory of a network; a batch goes through image by image, so it is that of one image."""
    return Quantity((found.weight_bytes + found.peak_bytes) / MEGABYTE, "model", note=MEMORY_NOTE)


def measure_network(network: Network, isa: Isa) -> float:
    """Return the least CPU seconds of one image through the whole network, compiled and run here."""
    from hardware.tvm_int8.timing import time_network

    return time_network(random_plan(network, isa), isa)


def fit(measured: Sequence[Measured]) -> Fit:
    """Return the coefficients with the least relative squares, with their error on networks left out one by one.

    Raises:
        NasError: for fewer than four networks.
    """
    if len(measured) < 4:
        raise NasError(f"networks={len(measured)} are too few to fit a predictor; measure at least 4")

    def solved(known: Sequence[Measured]) -> Array:
        """Return factor, nanoseconds per byte and microseconds per call, none below zero."""
        from scipy.optimize import nnls

        whole = np.array([one.whole for one in known])
        solution: Array = nnls(np.array([terms(one) for one in known]) / whole[:, None], np.ones(len(known)))[0]
        return solution

    def terms(one: Measured) -> list[float]:
        return [one.summed, 1e-9 * one.weight_bytes, 1e-6 * one.calls]

    ratios = []
    for place, one in enumerate(measured):
        ratios.append(one.whole / float(solved([*measured[:place], *measured[place + 1 :]]) @ terms(one)))
    factor, per_byte, per_call = solved(measured).tolist()
    errors = np.abs(1 / np.array(ratios) - 1)
    low, high = np.quantile(ratios, (0.05, 0.95))
    return Fit(factor, 1e-9 * per_byte, 1e-6 * per_call, float(errors.mean()), len(measured), float(low), float(high))


def profile(networks: Sequence[Network], table: Table, say: Callable[[str], None]) -> tuple[Fit, list[Measured]]:
    """Measure whole networks and the kernels they run, fit what whole networks add, and keep both in the table.

    Costs 5 to 30 s per network, most of it to compile kernels.
    """
    measured = []
    for number, network in enumerate(networks, 1):
        found = outline(network, table.isa)
        times = table.times(found.kernels())
        summed = sum(times[kernel] for kernel in found.kernels())
        whole = measure_network(network, table.isa)
        measured.append(Measured(whole, summed, found.weight_bytes, len(found.kernels())))
        one = measured[-1]
        say(f"{number}/{len(networks)}: {1e3 * one.whole:.2f} ms whole, {1e3 * one.summed:.2f} ms as a sum")
    fitted = fit(measured)
    table.store({}, fitted)
    return fitted, measured

"""What a target says about one network: latency, energy and memory, with a breakdown and the stated error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# How a number came about. "measured": on the device itself. "fitted": by a predictor fitted on measurements of the
# device. "model": from an analytic model that no measurement of this kind has checked.
Basis = Literal["measured", "fitted", "model"]


@dataclass(frozen=True)
class Quantity:
    """One number with what is known of its error.

    Args:
        value: in the unit of the field it stands in.
        basis: how it came about.
        error: mean absolute relative error of such numbers, as a fraction, on networks the predictor had not seen;
            None where nothing was measured to compare with.
        interval: low and high end that hold `coverage` of the truths; None where unknown.
        coverage: share of the truths that the interval is made for, 0 to 1.
        note: one sentence a reader needs to judge the number, "" for none.
    """

    value: float
    basis: Basis
    error: float | None = None
    interval: tuple[float, float] | None = None
    coverage: float = 0.8
    note: str = ""


@dataclass(frozen=True)
class Share:
    """What one operator, kernel or group of them takes of the whole.

    Args:
        name: dotted place in the network, or the name of a kernel.
        kind: kind of operator or kernel.
        latency_ms: of the whole batch; the shares of an estimate add up to its latency.
        bound: what limits it, such as ``compute``, ``memory``, ``launch`` or ``port``.
    """

    name: str
    kind: str
    latency_ms: float
    bound: str = ""


@dataclass(frozen=True)
class Estimate:
    """What a target says about one network.

    Args:
        target: name of the target.
        batch_size: images in one pass.
        precision: such as ``fp32``, ``fp16``, ``int8``.
        latency_ms: time of one pass over the batch, milliseconds.
        energy_mj: energy of one pass over the batch, millijoules; None where the target has no idea of it.
        memory_mb: memory one pass needs, 10^6 bytes; None where unknown.
        breakdown: shares of the latency, in the order of the network.
        details: further figures for people, name to value, such as DSP slices of an FPGA.
    """

    target: str
    batch_size: int
    precision: str
    latency_ms: Quantity
    energy_mj: Quantity | None = None
    memory_mb: Quantity | None = None
    breakdown: tuple[Share, ...] = ()
    details: tuple[tuple[str, float | str], ...] = ()

"""From real scales to the integers of I-ViT: multipliers, shifts and tables, with guards against overflow.

Source: arXiv 2207.01405. Every guard raises UnsupportedError, which names the layer and the numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.target import UnsupportedError

Array = NDArray[Any]

LARGEST = 2**31 - 1
SHIFTMAX_HALVINGS = 16
SHIFTGELU_HALVINGS = 23
SIGMOID_SLOPE = 1.702
SHIFTGELU_NUMERATOR = 2**47 - 1
# Both operators divide a numerator by a sum of exponentials. As published it is 2^31 - 1 and the sum may come close to
# it, where the quotient is 1 for any true value below 2; seven bits kept for it make its rounding an error of 1 %.
# ShiftGELU is a table, made in 64 bits: its numerator is 2^47 - 1 and it keeps all its halvings.
QUOTIENT_BITS = 7
SMALLEST = 1e-3  # range of a tensor that is all but zero
WIDE_SHIFT = 62  # 2^62 is added before a shift and taken off after it, which makes every shift one of unsigned numbers


@dataclass(frozen=True)
class Dyadic:
    """A change of scale: y = (q * multiplier + addend + 2^(shift - 1)) >> shift, in 64 bits.

    Args:
        multiplier: (channels,) int32.
        shift: 1 to 62, shared by the channels.
    """

    multiplier: Array
    shift: int


def symmetric_scale(largest: float, bits: int) -> float:
    """Return the real value of one step of a symmetric quantiser whose largest magnitude is `largest`."""
    return max(float(largest), SMALLEST) / (2 ** (bits - 1) - 1)


def quantise(values: Array, scale: Array | float, bits: int) -> Array:
    """Return round(values / scale) within `bits` signed bits, as int64."""
    high = 2 ** (bits - 1)
    return np.clip(np.rint(np.asarray(values, np.float64) / scale), -high, high - 1).astype(np.int64)


def dyadic(ratio: Array | float, layer: str) -> Dyadic:
    """Return multiplier and shift for a change of scale by `ratio`, per channel.

    The channel with the largest ratio has 31 significant bits, and the others share its shift.
    """
    ratios = np.atleast_1d(np.asarray(ratio, np.float64))
    _, exponent = math.frexp(float(np.abs(ratios).max()))
    shift = min(31 - exponent, WIDE_SHIFT)
    if shift < 1:
        raise UnsupportedError(f"{layer}: a change of scale by {np.abs(ratios).max():.3g} overflows 31 bits")
    multiplier = np.clip(np.rint(np.ldexp(ratios, shift)), -LARGEST, LARGEST)
    return Dyadic(multiplier.astype(np.int32), shift)


def addend(values: Array, change: Dyadic, layer: str) -> Array:
    """Return what adds the real `values`, in steps of the result, inside a change of scale, as (channels,) int64."""
    scaled = np.rint(np.ldexp(np.asarray(values, np.float64), change.shift))
    if np.abs(scaled).max() >= 2.0**61:
        raise UnsupportedError(f"{layer}: a constant of {np.abs(values).max():.3g} steps overflows 61 bits")
    return scaled.astype(np.int64)


def check_sums(weight: Array, bias: Array, layer: str) -> None:
    """Raise where a row of an int8 product can leave 32 bits.

    Args:
        weight: (channels, depth) int8.
        bias: (channels,) integers.
    """
    worst = int((128 * np.abs(weight.astype(np.int64)).sum(1) + np.abs(bias.astype(np.int64))).max())
    if worst > LARGEST:
        raise UnsupportedError(f"{layer}: sums reach {worst}, above {LARGEST}; the accumulators have 32 bits")


@dataclass(frozen=True)
class Exponential:
    """Constants of the integer exponential of x <= 0 (sheet of I-ViT, Shiftmax and ShiftGELU).

    Args:
        base: -x0, how many steps of x halve the result; at least 1.
        halvings: n; beyond that many, the result stays.
    """

    base: int
    halvings: int


def shiftmax_constants(scale: float, tokens: int, layer: str) -> Exponential:
    """Return the constants of a Shiftmax over rows of `tokens` scores; the halvings are as many as 31 bits allow."""
    base = math.floor(1 / scale)
    if base < 1:
        raise UnsupportedError(f"{layer}: a step of {scale:.3g} in the scores is above 1, too coarse for Shiftmax")
    halvings = min(SHIFTMAX_HALVINGS, math.floor(math.log2(LARGEST / (tokens * base))) - QUOTIENT_BITS)
    if halvings < 1:
        raise UnsupportedError(
            f"{layer}: {tokens} scores in steps of {scale:.3g} leave less than 7 of 31 bits beside their sum"
        )
    return Exponential(base, halvings)


def shiftmax_extra_bits(peak: float) -> int:
    """Return how many bits beyond seven a probability of at most `peak` leaves free in an int8, 0 to 16.

    A tenth is kept for the error of the integer exponential.
    """
    return max(0, min(16, math.floor(math.log2(127 / 128 / (1.1 * max(peak, 2.0**-20))))))


def shiftgelu_constants(scale: float, layer: str) -> Exponential:
    """Return the constants of a ShiftGELU; the halvings are as many as 47 bits allow."""
    base = math.floor(1 / (SIGMOID_SLOPE * scale))
    if base < 1:
        raise UnsupportedError(f"{layer}: a step of {scale:.3g} is above {1 / SIGMOID_SLOPE:.3g}, too coarse")
    halvings = min(SHIFTGELU_HALVINGS, math.floor(math.log2(SHIFTGELU_NUMERATOR / (2 * base))) - QUOTIENT_BITS)
    if halvings < 1:
        raise UnsupportedError(
            f"{layer}: exponentials in steps of {scale:.3g} leave less than 7 of 47 bits beside their sum"
        )
    return Exponential(base, halvings)


def reciprocal(base: int, largest: int, layer: str) -> tuple[int, int]:
    """Return (m, s) with ``p * m >> s == p // base`` for every p of 0..largest, checked for each of them.

    ``p * m`` stays below 2^31.
    """
    values = np.arange(largest + 1, dtype=np.int64)
    for shift in range(30, 0, -1):
        multiplier = -(-(1 << shift) // base)
        if multiplier * largest <= LARGEST and np.array_equal(values * multiplier >> shift, values // base):
            return multiplier, shift
    raise UnsupportedError(f"{layer}: no 32-bit reciprocal divides 0..{largest} by {base}")

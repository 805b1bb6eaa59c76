"""The integer operators in plain numpy: what the compiled kernels must equal bit by bit.

Source: arXiv 2207.01405. All arguments and results are integer arrays unless said otherwise; sums run in int64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hardware.tvm_int8.arithmetic import (
    LARGEST,
    SHIFTGELU_NUMERATOR,
    Array,
    Dyadic,
    Exponential,
    shiftgelu_constants,
)


def clamp(values: Array, low: int = -128, high: int = 127) -> Array:
    """Return the values within bounds."""
    return np.clip(values, low, high)


def requantise(values: Array, change: Dyadic, addend: Array | int = 0) -> Array:
    """Return (values * multiplier + addend, rounded half up) >> shift; channels are the last axis."""
    product = values.astype(np.int64) * change.multiplier.astype(np.int64)
    return (product + addend + (1 << (change.shift - 1))) >> change.shift


def linear(x: Array, weight: Array, bias: Array, change: Dyadic, low: int = -128) -> Array:
    """Return the int8 product of (..., depth) activations and (channels, depth) weights.

    Args:
        bias: (channels,) in steps of activation times weight.
        low: lower bound of the result; 0 gives a ReLU.
    """
    sums = x.astype(np.int64) @ weight.astype(np.int64).swapaxes(-1, -2) + bias
    return clamp(requantise(sums, change), low).astype(np.int8)


def exponential(x: Array, constants: Exponential) -> Array:
    """Return the exponential of x <= 0 in steps of 2^-halvings of a step of x."""
    x = x.astype(np.int64)
    x0, n = -constants.base, constants.halvings
    p = np.maximum(x + (x >> 1) - (x >> 4), n * x0)
    q = p // x0
    r = p - x0 * q
    return ((r >> 1) - x0) << (n - q)


def shiftmax(x: Array, constants: Exponential, extra_bits: int = 0) -> Array:
    """Return the softmax over the last axis in steps of 2^-(7 + extra_bits), 0 to 127 (int8).

    The published form has no extra bits. In it a probability below 1/128 is zero, and so is every even attention over
    more than 128 tokens; extra bits suit rows whose largest probability is small, and larger ones stop at 127.
    """
    e = exponential(x.astype(np.int64) - x.max(-1, keepdims=True), constants)
    factor = LARGEST // e.sum(-1, keepdims=True)
    return np.minimum((e * factor) >> (24 - extra_bits), 127).astype(np.int8)


def shiftgelu(x: Array, constants: Exponential, change: Dyadic) -> Array:
    """Return GELU over rows (last axis) of int8, requantised to int8 from steps of S / 128."""
    x = x.astype(np.int64)
    top = np.maximum(x.max(-1, keepdims=True), 0)
    e, em = exponential(x - top, constants), exponential(-top, constants)
    sigmoid = (e * (SHIFTGELU_NUMERATOR // (e + em))) >> 40
    return clamp(requantise(x * sigmoid, change)).astype(np.int8)


def shiftgelu_table(scale: float, change: Dyadic, layer: str) -> Array:
    """Return the (128, 256) int8 table of ShiftGELU by the row's maximum (0..127) and x + 128.

    With int8 inputs the result depends on these two alone, so the table is exact. Places with x above the maximum are
    never read.
    """
    constants = shiftgelu_constants(scale, layer)
    top = np.arange(128, dtype=np.int64)[:, None]
    x = np.minimum(np.arange(-128, 128, dtype=np.int64)[None, :], top)
    e, em = exponential(x - top, constants), exponential(-top, constants)
    sigmoid = (e * (SHIFTGELU_NUMERATOR // (e + em))) >> 40
    return clamp(requantise(x * sigmoid, change)).astype(np.int8)


def isqrt(value: int) -> int:
    """Return the floor of the square root, at least 1: five steps of Newton from the next power of two above the root.

    Ten steps from 2^16, as published, stay 64 or more above small roots; from here five are exact below 2^44.
    """
    root = 1 << -(-value.bit_length() // 2)
    for _ in range(5):
        root = max(1, min(root, (root + value // root) >> 1))
    return root


def layer_norm(x: Array, change: Dyadic, addend: Array, bits: int = 8) -> Array:
    """Return LayerNorm over the last axis in `bits` signed bits.

    The normalised integers have steps of sqrt(channels) / 2^30; gamma is in the multiplier and beta in the addend, as
    dividing beta by gamma (as published) fails for gamma near 0. Rows without spread give beta.
    """
    rows = x.reshape(-1, x.shape[-1]).astype(np.int64)
    channels = rows.shape[1]
    centred = rows - ((2 * rows.sum(1, keepdims=True) + channels) // (2 * channels))
    roots = np.array([isqrt(int(v)) for v in (centred**2).sum(1)], np.int64)[:, None]
    z = (centred * (LARGEST // roots)) >> 1
    high = 2 ** (bits - 1)
    return clamp(requantise(z, change, addend), -high, high - 1).reshape(x.shape)


def add(a: Array, b: Array, change_a: Dyadic, change_b: Dyadic, bits: int) -> Array:
    """Return the sum of two tensors brought to one scale, each rounded, in `bits` signed bits."""
    high = 2 ** (bits - 1)
    return clamp(requantise(a, change_a) + requantise(b, change_b), -high, high - 1)


def table(function: str, scale: float, out_scale: float) -> Array:
    """Return the (256,) int8 table of a scalar function by x + 128; the real function, rounded to the output's step."""
    x = np.arange(-128, 128) * scale
    functions: dict[str, Callable[[Array], Array]] = {
        "tanh": np.tanh,
        "relu": lambda v: np.maximum(v, 0.0),
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "silu": lambda v: v / (1 + np.exp(-v)),
        "identity": lambda v: v,
    }
    return clamp(np.floor(functions[function](x) / out_scale + 0.5)).astype(np.int8)


def gelu_steps(scale: float) -> float:
    """Return the step of ShiftGELU's result before requantisation."""
    return scale / 128


def mean(x: Array, change: Dyadic, bits: int = 8) -> Array:
    """Return the requantised sum over the second axis of (rows, terms, channels); the ratio holds 1 / terms."""
    high = 2 ** (bits - 1)
    return clamp(requantise(x.astype(np.int64).sum(1), change), -high, high - 1)


def layer_norm_step(channels: int) -> float:
    """Return the step of the normalised integers of `layer_norm`."""
    return math.sqrt(channels) / 2**30

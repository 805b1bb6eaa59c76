"""The integer formulas against real numbers, and the guards against overflow."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware import UnsupportedError
from hardware.tvm_int8 import arithmetic, golden

RNG = np.random.default_rng(0)


@given(st.floats(1e-12, 1e6), st.integers(-(2**31), 2**31 - 1))
def test_dyadic_is_the_ratio_within_its_bits(ratio: float, value: int) -> None:
    change = arithmetic.dyadic(ratio, "layer")
    found = int(golden.requantise(np.array([value]), change)[0])
    assert abs(found - value * ratio) <= 0.5 + abs(value * ratio) * 2**-30 + abs(value) * 2.0**-63


@given(st.integers(0, 2**44 - 1))
def test_isqrt_is_the_floor_of_the_root(value: int) -> None:
    assert golden.isqrt(value) == max(1, math.isqrt(value))


@pytest.mark.parametrize("value", [0, 1, 2, 3, 4, 15, 16, 17, 2**32 - 1, 2**44 - 1])
def test_isqrt_at_its_edges(value: int) -> None:
    assert golden.isqrt(value) == max(1, math.isqrt(value))


def test_reciprocal_divides_exactly_over_the_range_of_scores() -> None:
    for base in (*range(1, 130), 1000, 1024):
        deepest = min(384, 16 * base)
        multiplier, shift = arithmetic.reciprocal(base, deepest, "layer")
        values = np.arange(deepest + 1)
        np.testing.assert_array_equal(values * multiplier >> shift, values // base)


@pytest.mark.parametrize("scale", [0.01, 0.05, 0.2])
def test_shiftmax_is_near_the_softmax(scale: float) -> None:
    x = RNG.integers(-60, 60, (50, 197)).astype(np.int8)
    real = np.exp(x * scale - (x * scale).max(-1, keepdims=True))
    real /= real.sum(-1, keepdims=True)
    extra = arithmetic.shiftmax_extra_bits(float(real.max()))
    found = golden.shiftmax(x, arithmetic.shiftmax_constants(scale, 197, "layer"), extra) / 2 ** (7 + extra)
    assert np.abs(found - real).max() <= 0.06 * real.max() + 2.0 ** -(7 + extra)


def test_shiftmax_as_published_loses_even_attention_and_extra_bits_keep_it() -> None:
    x = np.zeros((1, 197), np.int8)
    constants = arithmetic.shiftmax_constants(0.05, 197, "layer")
    assert golden.shiftmax(x, constants).sum() == 0
    extra = arithmetic.shiftmax_extra_bits(1 / 197)
    assert golden.shiftmax(x, constants, extra).sum() / 2 ** (7 + extra) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("scale", [0.01, 0.05])
def test_shiftgelu_is_near_x_times_sigmoid(scale: float) -> None:
    x = RNG.integers(-128, 128, (40, 64)).astype(np.int8)
    change = arithmetic.dyadic(golden.gelu_steps(scale) / scale, "layer")
    found = golden.shiftgelu(x, arithmetic.shiftgelu_constants(scale, "layer"), change) * scale
    real = x * scale / (1 + np.exp(-1.702 * x * scale))
    assert np.abs(found - real).max() <= 0.04 * np.abs(x * scale).max() + scale


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_layer_norm_is_near_the_real_one(dtype: str) -> None:
    x = np.clip(RNG.normal(3, 10 if dtype == "int8" else 4000, (30, 192)), -128 if dtype == "int8" else -32768, None)
    x = x.clip(max=np.iinfo(dtype).max).astype(dtype)
    gamma, beta = RNG.normal(1, 0.2, 192), RNG.normal(0, 0.2, 192)
    change = arithmetic.dyadic(gamma * golden.layer_norm_step(192) / 0.03, "layer")
    found = golden.layer_norm(x, change, arithmetic.addend(beta / 0.03, change, "layer")) * 0.03
    rows = x.astype(np.float64)
    real = (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True) * gamma + beta
    assert np.abs(found - real.clip(-3.84, 3.81)).max() <= (0.1 if dtype == "int8" else 0.02)


# --- guards --------------------------------------------------------------------------------------------------------


def refused(*words: str) -> object:
    return pytest.raises(UnsupportedError, match=".*".join(map(re.escape, words)))


def test_sums_beyond_32_bits_name_the_layer_and_the_numbers() -> None:
    weight = np.full((2, 200_000), 127, np.int8)
    with refused("stage1.block2.fc", "3251200000", "2147483647"):
        arithmetic.check_sums(weight, np.zeros(2, np.int64), "stage1.block2.fc")
    with refused("head", "2147483648"):
        arithmetic.check_sums(np.zeros((1, 4), np.int8), np.array([2**31]), "head")


@pytest.mark.parametrize(("tokens", "scale"), [(10, 1.5), (2**20, 1e-6)])
def test_shiftmax_refuses_scales_it_cannot_hold(tokens: int, scale: float) -> None:
    with refused("attention"):
        arithmetic.shiftmax_constants(scale, tokens, "attention")


def test_shiftmax_sums_stay_within_31_bits_with_bits_left_for_the_quotient() -> None:
    for tokens in (1, 49, 197, 3136):
        for scale in (0.001, 0.01, 0.1, 0.9):
            constants = arithmetic.shiftmax_constants(scale, tokens, "layer")
            assert tokens * constants.base * 2**constants.halvings * 2**arithmetic.QUOTIENT_BITS < 2**31


@pytest.mark.parametrize("scale", [0.7, 1e-14])
def test_shiftgelu_refuses_scales_it_cannot_hold(scale: float) -> None:
    with refused("mlp"):
        arithmetic.shiftgelu_constants(scale, "mlp")


def test_large_constants_and_changes_of_scale_are_refused() -> None:
    with refused("norm", "61 bits"):
        arithmetic.addend(np.array([1e18]), arithmetic.dyadic(1.0, "norm"), "norm")
    with refused("norm", "31 bits"):
        arithmetic.dyadic(1e12, "norm")

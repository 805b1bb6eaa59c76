"""Every compiled kernel equals its golden model in numpy, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm", reason="TVM is not installed (extra tvm)")

from hardware.tvm_int8 import arithmetic, golden
from hardware.tvm_int8.compile import code_target, compile_kernels, cuda_target
from hardware.tvm_int8.isa import AVX2, ISAS, PLAIN, VNNI, Isa, best_isa, runs_here
from hardware.tvm_int8.kernels import Add, Gather, LayerNorm, Lookup, Mean, Pack, Product, Shiftgelu, Shiftmax
from hardware.tvm_int8.kernels.common import serial, threads
from hardware.tvm_int8.plan import Kernel

RNG = np.random.default_rng(0)


def run(kernel: Kernel, *arrays: np.ndarray, isa: Isa | None = None) -> list[np.ndarray]:
    """Return what a kernel writes."""
    import tvm

    (function,) = compile_kernels([kernel], isa or best_isa())
    made = [tvm.runtime.tensor(np.zeros(argument.shape, argument.dtype)) for argument in kernel.gives()]
    shapes = [argument.shape for argument in (*kernel.reads(), *kernel.holds())]
    given = [np.ascontiguousarray(array).reshape(shape) for array, shape in zip(arrays, shapes, strict=True)]
    function(*map(tvm.runtime.tensor, given), *made)
    return [array.numpy() for array in made]


def int8(*shape: int) -> np.ndarray:
    return RNG.integers(-128, 128, shape).astype(np.int8)


# --- products ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", [isa for isa in ISAS if runs_here(isa)], ids=lambda isa: isa.name)
@pytest.mark.parametrize(
    ("rows", "columns", "depth", "output", "low"),
    [(197, 48, 64, "int8", -128), (1, 100, 33, "int16", -32768), (7, 5, 147, "int8", 0), (50, 30, 13, "int32", 0)],
)
def test_product_equals_golden(isa: Isa, rows: int, columns: int, depth: int, output: str, low: int) -> None:
    kernel = Product(1, rows, columns, depth, isa, output, low)
    x, weight, bias = int8(rows, depth), int8(columns, depth), RNG.integers(-5000, 5000, columns)
    change = arithmetic.dyadic(RNG.uniform(1e-4, 2e-3, columns), "layer")
    (found,) = run(kernel, x, *kernel.constants(weight, bias, change), isa=isa)
    sums = x.astype(np.int64) @ weight.T.astype(np.int64) + bias
    high = np.iinfo(output).max
    wanted = sums if output == "int32" else golden.clamp(golden.requantise(sums, change), low, int(high))
    np.testing.assert_array_equal(found.reshape(rows, columns), wanted)


@pytest.mark.skipif(not runs_here(VNNI), reason="this processor has no avx512_vnni")
def test_vnni_product_at_its_extremes() -> None:
    kernel = Product(1, 9, 48, 64, VNNI, "int32", 0)
    x, weight = np.full((9, 64), -128, np.int8), np.full((48, 64), 127, np.int8)
    (found,) = run(kernel, x, *kernel.constants(weight, np.zeros(48, np.int64), None), isa=VNNI)
    np.testing.assert_array_equal(found, -128 * 127 * 64)


@pytest.mark.parametrize("isa", [isa for isa in ISAS if runs_here(isa)], ids=lambda isa: isa.name)
@pytest.mark.parametrize("values", [False, True], ids=["keys", "values"])
def test_products_of_attention_equal_golden(isa: Isa, values: bool) -> None:
    batch, tokens, channels, rows = 3, 21, 10, 17
    x = int8(batch, tokens, channels)
    packed, bias = run(Pack(batch, tokens, channels, values, isa), x, isa=isa)
    weight = x.swapaxes(1, 2) if values else x
    columns, depth = weight.shape[1:]
    left = int8(batch, rows, depth)
    kernel = Product(batch, rows, columns, depth, isa, "int8", -128, packed_here=True)
    change = arithmetic.dyadic(np.full(columns, 3e-3), "layer")
    (found,) = run(kernel, left, packed, bias, *kernel.change(change), isa=isa)
    wanted = golden.linear(left, weight, np.zeros(columns, np.int64), change)
    np.testing.assert_array_equal(found.reshape(batch, rows, columns), wanted)


def assembly(kernel: Kernel, isa: Isa) -> str:
    import tvm

    text: str = tvm.compile(kernel.build(), target=code_target(isa)).mod.inspect_source("asm")
    return text


@pytest.mark.parametrize(("isa", "word"), [(VNNI, "vpdpbusd"), (AVX2, "vpmaddwd")], ids=["vnni", "avx2"])
def test_code_has_the_instruction(isa: Isa, word: str) -> None:
    kernel = Product(1, 192, 96, 64, isa, "int8", -128)
    mr, nr = kernel.tile()
    assert assembly(kernel, isa).count(word) >= mr * nr
    assert word not in assembly(Product(1, 192, 96, 64, PLAIN, "int8", -128), PLAIN)


# --- all 256 inputs ------------------------------------------------------------------------------------------------

EVERY = np.arange(-128, 128).astype(np.int8)


@pytest.mark.parametrize("function", ["tanh", "relu", "sigmoid", "silu"])
def test_lookup_equals_the_function_for_every_input(function: str) -> None:
    table = golden.table(function, 0.03, 0.02)
    (found,) = run(Lookup(256), EVERY, table)
    np.testing.assert_array_equal(found, table)
    real = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0), "sigmoid": lambda v: 1 / (1 + np.exp(-v))}
    wanted = real.get(function, lambda v: v / (1 + np.exp(-v)))(EVERY * 0.03)
    assert np.abs(found * 0.02 - np.clip(wanted, -2.56, 2.54)).max() <= 0.0101


@pytest.mark.parametrize("scale", [0.005, 0.05, 0.3])
def test_shiftgelu_table_equals_the_operator_for_every_input_and_maximum(scale: float) -> None:
    change = arithmetic.dyadic(golden.gelu_steps(scale) / (scale * 0.9), "layer")
    tops = np.arange(128)
    x = np.minimum(np.repeat(EVERY[None], 128, 0), tops[:, None]).astype(np.int8)
    x = np.concatenate([x, tops[:, None].astype(np.int8)], 1)  # every row holds its maximum
    constants = arithmetic.shiftgelu_constants(scale, "layer")
    wanted = golden.shiftgelu(x, constants, change)
    (found,) = run(Shiftgelu(128, 257), x, golden.shiftgelu_table(scale, change, "layer"))
    np.testing.assert_array_equal(found.reshape(x.shape), wanted)


def test_shiftgelu_of_rows_below_zero_keeps_its_domain() -> None:
    x = RNG.integers(-128, 0, (6, 40)).astype(np.int8)
    change = arithmetic.dyadic(golden.gelu_steps(0.05) / 0.05, "layer")
    (found,) = run(Shiftgelu(6, 40), x, golden.shiftgelu_table(0.05, change, "layer"))
    wanted = golden.shiftgelu(x, arithmetic.shiftgelu_constants(0.05, "layer"), change)
    np.testing.assert_array_equal(found.reshape(6, 40), wanted)


# --- rows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "extra", "columns"), [(0.05, 0, 197), (0.3, 2, 49), (0.001, 6, 257), (0.9, 0, 1)])
def test_shiftmax_equals_golden(scale: float, extra: int, columns: int) -> None:
    x = int8(12, columns)
    x[0] = 5
    constants = arithmetic.shiftmax_constants(scale, columns, "layer")
    kernel = Shiftmax(12, columns)
    (found,) = run(kernel, x, *kernel.constants(constants, extra, "layer"))
    np.testing.assert_array_equal(found.reshape(x.shape), golden.shiftmax(x, constants, extra))
    assert found.min() >= 0


@pytest.mark.parametrize(
    ("dtype", "channels", "output"), [("int8", 24, "int8"), ("int16", 192, "int8"), ("int16", 7, "int16")]
)
def test_layer_norm_equals_golden(dtype: str, channels: int, output: str) -> None:
    bounds = np.iinfo(dtype)
    x = RNG.integers(bounds.min, bounds.max + 1, (9, channels)).astype(dtype)
    x[0] = 3  # no spread
    x[1] = (np.arange(channels) % 2) * 2  # a small one
    gamma, beta = RNG.normal(1, 0.3, channels), RNG.normal(0, 0.3, channels)
    gamma[0] = 0.0
    step = 0.03 if output == "int8" else 1e-4
    change = arithmetic.dyadic(gamma * golden.layer_norm_step(channels) / step, "layer")
    addend = arithmetic.addend(beta / step, change, "layer")
    kernel = LayerNorm(9, channels, dtype, output)
    (found,) = run(kernel, x, *kernel.constants(change, addend))
    np.testing.assert_array_equal(found.reshape(x.shape), golden.layer_norm(x, change, addend, np.iinfo(output).bits))


# --- the others ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b", "output"), [("int8", "int16", "int16"), ("int16", "int16", "int8")])
def test_add_equals_golden(a: str, b: str, output: str) -> None:
    first, second = (RNG.integers(np.iinfo(t).min, np.iinfo(t).max + 1, 301).astype(t) for t in (a, b))
    changes = arithmetic.dyadic(0.7, "layer"), arithmetic.dyadic(0.013, "layer")
    kernel = Add(301, a, b, output)
    (found,) = run(kernel, first, second, *kernel.constants(*changes))
    np.testing.assert_array_equal(found, golden.add(first, second, *changes, np.iinfo(output).bits))


def test_mean_equals_golden() -> None:
    x = RNG.integers(-32768, 32768, (5, 49, 33)).astype(np.int16)
    change = arithmetic.dyadic(1 / 49 * 0.9, "layer")
    kernel = Mean(5, 49, 33, "int16", "int16")
    (found,) = run(kernel, x, *kernel.constants(change))
    np.testing.assert_array_equal(found.reshape(5, 33), golden.mean(x, change, 16))


@pytest.mark.parametrize("length", [130, 7, 0])
def test_gather_copies_runs_of_several_buffers_and_leaves_zeros(length: int) -> None:
    a, b = int8(700), int8(300)
    lengths = [length or 3, length or 11]
    tables = [np.array([[100, 20, lengths[0]]], np.int32), np.array([[5, 200, lengths[1]]], np.int32)]
    (found,) = run(Gather((700, 300), (1, 1), length, 400, "int8", True), a, b, *tables)
    wanted = np.zeros(400, np.int8)
    wanted[20 : 20 + lengths[0]] = a[100 : 100 + lengths[0]]
    wanted[200 : 200 + lengths[1]] = b[5 : 5 + lengths[1]]
    np.testing.assert_array_equal(found, wanted)


# --- devices with many threads ------------------------------------------------------------------------------------


def test_the_scattered_product_equals_the_tiled_one() -> None:
    import tvm

    kernel = Product(2, 9, 21, 13, PLAIN, "int8", -128, packed_here=True)
    x, weight = int8(2, 9, 13), int8(2, 13, 21)
    packed, bias = run(Pack(2, 13, 21, True, PLAIN), weight, isa=PLAIN)
    change = kernel.change(arithmetic.dyadic(np.full(21, 2e-3), "layer"))
    (tiled,) = run(kernel, x, packed, bias, *change, isa=PLAIN)
    scattered = tvm.compile(kernel.build(lambda T, count: serial(T, count)), target=code_target(PLAIN))  # noqa: N803
    made = tvm.runtime.tensor(np.zeros_like(tiled))
    scattered["main"](*map(tvm.runtime.tensor, (x.reshape(-1), packed, bias, *change)), made)
    np.testing.assert_array_equal(made.numpy(), tiled)


def test_every_kernel_has_cuda_code() -> None:
    import tvm

    kernels: list[Kernel] = [
        Lookup(100),
        Shiftgelu(10, 70),
        Add(100, "int8", "int16", "int8"),
        Mean(5, 4, 3, "int8", "int8"),
        Shiftmax(20, 50),
        LayerNorm(7, 33, "int16", "int8"),
        Gather((10, 20), (2, 3), 64, 400, "int8", True),
        Pack(2, 21, 10, True, PLAIN),
        Product(2, 7, 20, 10, PLAIN, "int8", -128),
    ]
    for kernel in kernels:
        try:
            library = tvm.compile(kernel.build(threads), target=cuda_target("sm_80"))
        except Exception as error:
            if "nvcc" in str(error) or "nvrtc" in str(error).lower():
                pytest.skip("no CUDA compiler")
            raise
        assert "__global__" in library.mod.imports[0].inspect_source()

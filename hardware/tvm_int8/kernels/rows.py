"""Softmax and LayerNorm: integers over rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.tvm_int8.arithmetic import LARGEST, Array, Dyadic, Exponential, reciprocal
from hardware.tvm_int8.kernels.common import Over, clamped, ir_builder, scaled, serial, shift
from hardware.tvm_int8.plan import Argument

DEEPEST = 384  # -p of the exponential is at most 255 * 1.4375 + 1 for int8 scores


@dataclass(frozen=True)
class Shiftmax:
    """I-ViT's softmax over rows of int8 scores; see `golden.shiftmax`."""

    rows: int
    columns: int

    def reads(self) -> list[Argument]:
        return [Argument((self.rows * self.columns,), "int8")]

    def holds(self) -> list[Argument]:
        return [Argument((6,), "int32")]

    def gives(self) -> list[Argument]:
        return [Argument((self.rows * self.columns,), "int8")]

    def work(self) -> dict[str, float]:
        return {"softmax": float(self.rows * self.columns)}

    def constants(self, exponential: Exponential, extra_bits: int, layer: str) -> list[Array]:
        """Return base, halvings, the reciprocal of the base with its shift, the deepest exponent, the last shift."""
        deepest = min(DEEPEST, exponential.halvings * exponential.base)
        multiplier, amount = reciprocal(exponential.base, deepest, layer)
        base, halvings = exponential.base, exponential.halvings
        return [np.array([base, halvings, multiplier, amount, deepest, 24 - extra_bits], np.int32)]

    def example(self, rng: np.random.Generator) -> list[Array]:
        scores = rng.integers(-128, 128, self.rows * self.columns).astype(np.int8)
        return [scores, *self.constants(Exponential(20, 8), 0, "example")]

    def build(self, over: Over = serial) -> Any:
        builder, T = ir_builder()  # noqa: N806
        rows, columns = self.rows, self.columns
        with builder() as made, T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": True})
            x_flat = T.arg("x", T.Buffer((rows * columns,), "int8"))
            constants = T.arg("constants", T.Buffer((6,), "int32"))
            y_flat = T.arg("y", T.Buffer((rows * columns,), "int8"))
            base, halvings, multiplier, amount, deepest, last = (constants[place] for place in range(6))
            x = T.decl_buffer((rows, columns), "int8", data=x_flat.data)
            y = T.decl_buffer((rows, columns), "int8", data=y_flat.data)
            with over(T, rows) as i:
                e = T.alloc_buffer((columns,), "int32", scope="local")
                top = T.alloc_buffer((1,), "int8", scope="local")
                total = T.alloc_buffer((1,), "int32", scope="local")
                T.buffer_store(top, T.int8(-128), [0])
                with T.serial(columns) as j:
                    T.buffer_store(top, T.max(top[0], x[i, j]), [0])
                T.buffer_store(total, 0, [0])
                with T.serial(columns) as j:
                    below = T.Cast("int32", x[i, j]) - T.Cast("int32", top[0])
                    p = T.shift_right(below, 4) - below - T.shift_right(below, 1)  # -p of the exponential
                    T.buffer_store(e, T.min(p, deepest), [j])
                    q = T.shift_right(e[j] * multiplier, amount)  # -p // base
                    line = T.shift_right(base * q - e[j], 1) + base
                    T.buffer_store(e, T.shift_left(line, halvings - q), [j])
                    T.buffer_store(total, total[0] + e[j], [0])
                T.buffer_store(total, T.truncdiv(LARGEST, total[0]), [0])
                with T.serial(columns) as j:
                    probability = T.min(T.shift_right(e[j] * total[0], last), 127)
                    T.buffer_store(y, T.Cast("int8", probability), [i, j])
        return made.get()


@dataclass(frozen=True)
class LayerNorm:
    """Integer LayerNorm over rows of int8 or int16 to either; see `golden.layer_norm`."""

    rows: int
    channels: int
    dtype: str
    output: str

    def reads(self) -> list[Argument]:
        return [Argument((self.rows * self.channels,), self.dtype)]

    def holds(self) -> list[Argument]:
        per_channel = (self.channels,)
        return [Argument(per_channel, "int32"), Argument(per_channel, "int64"), Argument((1,), "int32")]

    def gives(self) -> list[Argument]:
        return [Argument((self.rows * self.channels,), self.output)]

    def work(self) -> dict[str, float]:
        return {"norm": float(self.rows * self.channels)}

    def constants(self, change: Dyadic, addend: Array) -> list[Array]:
        """Return gamma's multipliers, beta's addends and their shift."""
        return [change.multiplier, addend, shift(change)]

    def example(self, rng: np.random.Generator) -> list[Array]:
        x = rng.integers(-100, 100, self.rows * self.channels).astype(self.dtype)
        per_channel = (self.channels,)
        return [x, np.full(per_channel, 2**30, np.int32), np.zeros(per_channel, np.int64), np.array([52], np.int32)]

    def build(self, over: Over = serial) -> Any:
        builder, T = ir_builder()  # noqa: N806
        rows, channels = self.rows, self.channels
        low = int(np.iinfo(self.output).min)
        with builder() as made, T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": True})
            x_flat = T.arg("x", T.Buffer((rows * channels,), self.dtype))
            multiplier = T.arg("multiplier", T.Buffer((channels,), "int32"))
            addend = T.arg("addend", T.Buffer((channels,), "int64"))
            amount = T.arg("amount", T.Buffer((1,), "int32"))
            y_flat = T.arg("y", T.Buffer((rows * channels,), self.output))
            x = T.decl_buffer((rows, channels), self.dtype, data=x_flat.data)
            y = T.decl_buffer((rows, channels), self.output, data=y_flat.data)
            with over(T, rows) as i:
                mean = T.alloc_buffer((1,), "int32", scope="local")
                squares = T.alloc_buffer((1,), "int64", scope="local")
                root = T.alloc_buffer((1,), "int64", scope="local")
                factor = T.alloc_buffer((1,), "int32", scope="local")
                T.buffer_store(mean, 0, [0])
                with T.serial(channels) as j:
                    T.buffer_store(mean, mean[0] + T.Cast("int32", x[i, j]), [0])
                T.buffer_store(mean, T.floordiv(2 * mean[0] + channels, 2 * channels), [0])
                T.buffer_store(squares, T.int64(0), [0])
                with T.serial(channels) as j:
                    wide = T.Cast("int64", T.Cast("int32", x[i, j]) - mean[0])
                    T.buffer_store(squares, squares[0] + wide * wide, [0])
                # The next power of two above the root, then five steps of Newton.
                T.buffer_store(root, T.int64(1), [0])
                with T.While(root[0] * root[0] < squares[0]):
                    T.buffer_store(root, root[0] * T.int64(2), [0])
                with T.serial(5):
                    step = T.shift_right(root[0] + T.truncdiv(squares[0], root[0]), T.int64(1))
                    T.buffer_store(root, T.max(T.min(root[0], step), T.int64(1)), [0])
                T.buffer_store(factor, T.Cast("int32", T.truncdiv(T.int64(LARGEST), root[0])), [0])
                with T.serial(channels) as j:
                    z = T.shift_right((T.Cast("int32", x[i, j]) - mean[0]) * factor[0], 1)
                    value = scaled(z, multiplier[j], amount[0], addend[j])
                    T.buffer_store(y, clamped(value, low, self.output), [i, j])
        return made.get()

"""Activations, residual sums and means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.tvm_int8.arithmetic import Array, Dyadic
from hardware.tvm_int8.kernels.common import Over, clamped, ir_builder, scaled, serial
from hardware.tvm_int8.plan import Argument


@dataclass(frozen=True)
class Lookup:
    """A function of one int8 number as a table of its 256 values."""

    size: int

    def reads(self) -> list[Argument]:
        return [Argument((self.size,), "int8")]

    def holds(self) -> list[Argument]:
        return [Argument((256,), "int8")]

    def gives(self) -> list[Argument]:
        return [Argument((self.size,), "int8")]

    def work(self) -> dict[str, float]:
        return {"activation": float(self.size)}

    def example(self, rng: np.random.Generator) -> list[Array]:
        return [rng.integers(-128, 128, size).astype(np.int8) for size in (self.size, 256)]

    def build(self, over: Over = serial) -> Any:
        builder, T = ir_builder()  # noqa: N806
        with builder() as made, T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": True})
            x = T.arg("x", T.Buffer((self.size,), "int8"))
            table = T.arg("table", T.Buffer((256,), "int8"))
            y = T.arg("y", T.Buffer((self.size,), "int8"))
            with over(T, self.size) as i:
                T.buffer_store(y, table[T.Cast("int32", x[i]) + 128], [i])
        return made.get()


@dataclass(frozen=True)
class Shiftgelu:
    """I-ViT's GELU over rows of int8 as its exact table by the row's maximum and x; see `golden.shiftgelu_table`."""

    rows: int
    columns: int

    def reads(self) -> list[Argument]:
        return [Argument((self.rows * self.columns,), "int8")]

    def holds(self) -> list[Argument]:
        return [Argument((128, 256), "int8")]

    def gives(self) -> list[Argument]:
        return [Argument((self.rows * self.columns,), "int8")]

    def work(self) -> dict[str, float]:
        return {"activation": float(self.rows * self.columns)}

    def example(self, rng: np.random.Generator) -> list[Array]:
        return [rng.integers(-128, 128, shape).astype(np.int8) for shape in ((self.rows * self.columns,), (128, 256))]

    def build(self, over: Over = serial) -> Any:
        builder, T = ir_builder()  # noqa: N806
        rows, columns = self.rows, self.columns
        with builder() as made, T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": True})
            x_flat = T.arg("x", T.Buffer((rows * columns,), "int8"))
            table = T.arg("table", T.Buffer((128, 256), "int8"))
            y_flat = T.arg("y", T.Buffer((rows * columns,), "int8"))
            x = T.decl_buffer((rows, columns), "int8", data=x_flat.data)
            y = T.decl_buffer((rows, columns), "int8", data=y_flat.data)
            with over(T, rows) as i:
                top = T.alloc_buffer((1,), "int8", scope="local")
                T.buffer_store(top, T.int8(0), [0])
                with T.serial(columns) as j:
                    T.buffer_store(top, T.max(top[0], x[i, j]), [0])
                with T.serial(columns) as j:
                    T.buffer_store(y, table[T.Cast("int32", top[0]), T.Cast("int32", x[i, j]) + 128], [i, j])
        return made.get()


@dataclass(frozen=True)
class Add:
    """The sum of two tensors, each brought to the scale of the result; see `golden.add`."""

    size: int
    first: str
    second: str
    output: str

    def reads(self) -> list[Argument]:
        return [Argument((self.size,), self.first), Argument((self.size,), self.second)]

    def holds(self) -> list[Argument]:
        return [Argument((4,), "int32")]

    def gives(self) -> list[Argument]:
        return [Argument((self.size,), self.output)]

    def work(self) -> dict[str, float]:
        return {"elementwise": float(self.size)}

    def constants(self, first: Dyadic, second: Dyadic) -> list[Array]:
        """Return multiplier and shift of either change of scale."""
        return [np.array([first.multiplier[0], first.shift, second.multiplier[0], second.shift], np.int32)]

    def example(self, rng: np.random.Generator) -> list[Array]:
        tensors = [rng.integers(-100, 100, self.size).astype(dtype) for dtype in (self.first, self.second)]
        return [*tensors, np.array([2**30, 31, 2**30, 31], np.int32)]

    def build(self, over: Over = serial) -> Any:
        builder, T = ir_builder()  # noqa: N806
        low = int(np.iinfo(self.output).min)
        with builder() as made, T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": True})
            a = T.arg("a", T.Buffer((self.size,), self.first))
            b = T.arg("b", T.Buffer((self.size,), self.second))
            change = T.arg("change", T.Buffer((4,), "int32"))
            y = T.arg("y", T.Buffer((self.size,), self.output))
            with over(T, self.size) as i:
                total = scaled(a[i], change[0], change[1]) + scaled(b[i], change[2], change[3])
                T.buffer_store(y, clamped(total, low, self.output), [i])
        return made.get()


@dataclass(frozen=True)
class Mean:
    """Means over the second axis of (rows, terms, channels); see `golden.mean`."""

    rows: int
    terms: int
    channels: int
    dtype: str
    output: str

    def reads(self) -> list[Argument]:
        return [Argument((self.rows * self.terms * self.channels,), self.dtype)]

    def holds(self) -> list[Argument]:
        return [Argument((2,), "int32")]

    def gives(self) -> list[Argument]:
        return [Argument((self.rows * self.channels,), self.output)]

    def work(self) -> dict[str, float]:
        return {"elementwise": float(self.rows * self.terms * self.channels)}

    def constants(self, change: Dyadic) -> list[Array]:
        """Return multiplier and shift."""
        return [np.array([change.multiplier[0], change.shift], np.int32)]

    def example(self, rng: np.random.Generator) -> list[Array]:
        x = rng.integers(-100, 100, self.rows * self.terms * self.channels).astype(self.dtype)
        return [x, np.array([2**30, 33], np.int32)]

    def build(self, over: Over = serial) -> Any:
        builder, T = ir_builder()  # noqa: N806
        rows, terms, channels = self.rows, self.terms, self.channels
        low = int(np.iinfo(self.output).min)
        with builder() as made, T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": True})
            x_flat = T.arg("x", T.Buffer((rows * terms * channels,), self.dtype))
            change = T.arg("change", T.Buffer((2,), "int32"))
            y_flat = T.arg("y", T.Buffer((rows * channels,), self.output))
            x = T.decl_buffer((rows, terms, channels), self.dtype, data=x_flat.data)
            y = T.decl_buffer((rows, channels), self.output, data=y_flat.data)
            with over(T, rows) as i:
                total = T.alloc_buffer((channels,), "int32", scope="local")
                with T.serial(channels) as j:
                    T.buffer_store(total, 0, [j])
                with T.serial(terms) as k, T.serial(channels) as j:
                    T.buffer_store(total, total[j] + T.Cast("int32", x[i, k, j]), [j])
                with T.serial(channels) as j:
                    value = clamped(scaled(total[j], change[0], change[1]), low, self.output)
                    T.buffer_store(y, value, [i, j])
        return made.get()

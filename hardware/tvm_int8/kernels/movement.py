"""Copies: gathers by a table of runs, and the packing of keys and values as the weights of a product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.tvm_int8.arithmetic import Array
from hardware.tvm_int8.isa import Isa
from hardware.tvm_int8.kernels.common import Over, ir_builder, serial
from hardware.tvm_int8.kernels.product import packed_shape, padded_columns
from hardware.tvm_int8.plan import Argument

VECTOR = 64  # longer runs are copied in a loop


@dataclass(frozen=True)
class Gather:
    """Runs copied from one or more buffers; places that no run names are zero.

    Args:
        sources: numbers in each buffer it reads.
        runs: runs from each of them.
        length: numbers in a run, 0 where each run has its own.
        size: numbers in the result.
        dtype: of all of them.
        zeros: whether some places are named by no run.
    """

    sources: tuple[int, ...]
    runs: tuple[int, ...]
    length: int
    size: int
    dtype: str
    zeros: bool

    def reads(self) -> list[Argument]:
        return [Argument((size,), self.dtype) for size in self.sources]

    def holds(self) -> list[Argument]:
        return [Argument((runs, 3), "int32") for runs in self.runs]

    def gives(self) -> list[Argument]:
        return [Argument((self.size,), self.dtype)]

    def work(self) -> dict[str, float]:
        return {"moved": float(self.size), "runs": float(sum(self.runs))}

    def example(self, rng: np.random.Generator) -> list[Array]:
        made = [rng.integers(-128, 128, size).astype(self.dtype) for size in self.sources]
        length = self.length or max(1, self.size // sum(self.runs))
        first = 0
        for source, runs in zip(self.sources, self.runs, strict=True):
            places = np.arange(first, first + runs, dtype=np.int64) * length
            starts = places % max(1, source - length + 1)
            made.append(np.stack([starts, places, np.full(runs, length)], 1).astype(np.int32))
            first += runs
        return made

    def build(self, over: Over = serial) -> Any:
        # The script language has functions of a fixed number of arguments; its builder underneath takes any.
        builder, T = ir_builder()  # noqa: N806
        within = T.vectorized if over is serial else T.serial
        vector = max(width for width in range(1, VECTOR + 1) if self.length % width == 0)
        with builder() as made, T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": True})
            read = [T.arg(f"x{i}", T.Buffer((size,), self.dtype)) for i, size in enumerate(self.sources)]
            tables = [T.arg(f"table{i}", T.Buffer((runs, 3), "int32")) for i, runs in enumerate(self.runs)]
            y = T.arg("y", T.Buffer((self.size,), self.dtype))
            if self.zeros:
                with over(T, self.size) as i:
                    T.buffer_store(y, T.Cast(self.dtype, 0), [i])
            for x, table, runs in zip(read, tables, self.runs, strict=True):
                with over(T, runs) as i:
                    if self.length:
                        with T.serial(self.length // vector) as k, within(vector) as j:
                            T.buffer_store(y, x[table[i, 0] + k * vector + j], [table[i, 1] + k * vector + j])
                    else:
                        with T.serial(table[i, 2]) as j:
                            T.buffer_store(y, x[table[i, 0] + j], [table[i, 1] + j])
        return made.get()


@dataclass(frozen=True)
class Pack:
    """Keys or values as weights of a `Product`, with the bias that its instructions need.

    Args:
        batch: independent products.
        tokens, channels: what it reads is (batch, tokens, channels) int8.
        values: False makes each token a column (queries times keys), True each channel (weights times values).
        isa: instructions of the product.
    """

    batch: int
    tokens: int
    channels: int
    values: bool
    isa: Isa

    def _columns(self) -> tuple[int, int]:
        return (self.channels, self.tokens) if self.values else (self.tokens, self.channels)

    def reads(self) -> list[Argument]:
        return [Argument((self.batch * self.tokens * self.channels,), "int8")]

    def holds(self) -> list[Argument]:
        return []

    def gives(self) -> list[Argument]:
        columns, depth = self._columns()
        packed = Argument(packed_shape(self.isa, self.batch, columns, depth), "int8")
        return [packed, Argument((self.batch, padded_columns(self.isa, columns)), "int32")]

    def work(self) -> dict[str, float]:
        return {"moved": float(self.batch * self.tokens * self.channels)}

    def example(self, rng: np.random.Generator) -> list[Array]:
        return [rng.integers(-128, 128, self.batch * self.tokens * self.channels).astype(np.int8)]

    def build(self, over: Over = serial) -> Any:
        builder, T = ir_builder()  # noqa: N806
        isa, batch = self.isa, self.batch
        columns, depth = self._columns()
        shape = packed_shape(isa, batch, columns, depth)
        _, vectors, groups, _ = shape
        lanes, group = isa.lanes, isa.group
        column_step, depth_step = (1, self.channels) if self.values else (self.channels, 1)
        size = self.tokens * self.channels
        with builder() as made, T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"tirx.noalias": True})
            x_flat = T.arg("x", T.Buffer((batch * size,), "int8"))
            y = T.arg("y", T.Buffer(shape, "int8"))
            bias = T.arg("bias", T.Buffer((batch, padded_columns(isa, columns)), "int32"))
            x = T.decl_buffer((batch, size), "int8", data=x_flat.data)
            with over(T, batch * vectors) as item:
                b, v = T.floordiv(item, vectors), T.floormod(item, vectors)
                with T.serial(lanes) as lane:
                    T.buffer_store(bias, 0, [b, v * lanes + lane])
                with T.serial(groups) as k, T.serial(lanes) as lane, T.serial(group) as g:
                    column, row = v * lanes + lane, k * group + g
                    inside = T.And(column < columns, row < depth)
                    place = column * column_step + row * depth_step
                    value = T.if_then_else(inside, T.Cast("int32", x[b, place]), 0)
                    T.buffer_store(y, T.Cast("int8", value), [b, v, k, lane * group + g])
                    if isa.zero:
                        T.buffer_store(bias, bias[b, column] - isa.zero * value, [b, column])
        return made.get()

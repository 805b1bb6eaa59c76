"""Products of int8 matrices with a change of scale, one micro-kernel for every instruction set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.tvm_int8.arithmetic import Array, Dyadic
from hardware.tvm_int8.isa import Isa
from hardware.tvm_int8.kernels.common import Over, clamped, ir_builder, scaled, serial, shift
from hardware.tvm_int8.plan import Argument

CHUNK_BYTES = 1 << 17  # packed activations that stay in the second-level cache


def blocks(isa: Isa, columns: int) -> int:
    """Return how many vectors wide a tile of sums is: little padding first, then wide tiles for wide registers."""
    widest = 3 if isa.registers == 32 else 2

    def padded(count: int) -> int:
        width = count * isa.lanes
        return -(-columns // width) * width

    return min(range(1, widest + 1), key=lambda count: (padded(count) * (1 + 0.05 * (widest - count)), -count))


def padded_columns(isa: Isa, columns: int) -> int:
    """Return the columns of packed weights: a multiple of the tile's width."""
    width = blocks(isa, columns) * isa.lanes
    return -(-columns // width) * width


def packed_shape(isa: Isa, batch: int, columns: int, depth: int) -> tuple[int, int, int, int]:
    """Return the shape of packed weights: batch, vectors of columns, groups of depth, and one vector's operands."""
    padded = padded_columns(isa, columns)
    return batch, padded // isa.lanes, -(-depth // isa.group), isa.lanes * isa.group


def pack_weight(weight: Array, isa: Isa) -> Array:
    """Return (columns, depth) int8 weights as the micro-kernel reads them, filled up with zeros."""
    columns, depth = weight.shape
    _, vectors, groups, _ = packed_shape(isa, 1, columns, depth)
    full = np.zeros((vectors * isa.lanes, groups * isa.group), np.int8)
    full[:columns, :depth] = weight
    split = full.reshape(vectors, isa.lanes, groups, isa.group).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(split).reshape(packed_shape(isa, 1, columns, depth))


@dataclass(frozen=True)
class Product:
    """Rows of activations times packed weights, plus bias: a linear layer or, per batch, a product of attention.

    Args:
        batch: independent products.
        rows, columns, depth: activations are (batch, rows, depth), results (batch, rows, columns).
        isa: instructions it uses.
        output: ``int8``, ``int16``, or ``int32`` for the sums as they are.
        low: smallest result; 0 gives a ReLU.
        packed_here: weights and bias are activations, packed by `Pack` as the network runs.
    """

    batch: int
    rows: int
    columns: int
    depth: int
    isa: Isa
    output: str
    low: int
    packed_here: bool = False

    def _weights(self) -> list[Argument]:
        padded = padded_columns(self.isa, self.columns)
        shape = packed_shape(self.isa, self.batch, self.columns, self.depth)
        return [Argument(shape, "int8"), Argument((self.batch, padded), "int32")]

    def reads(self) -> list[Argument]:
        activations = Argument((self.batch * self.rows * self.depth,), "int8")
        return [activations, *(self._weights() if self.packed_here else [])]

    def holds(self) -> list[Argument]:
        padded = padded_columns(self.isa, self.columns)
        change = [Argument((padded,), "int32"), Argument((1,), "int32")]
        return [*([] if self.packed_here else self._weights()), *change]

    def gives(self) -> list[Argument]:
        return [Argument((self.batch * self.rows * self.columns,), self.output)]

    def work(self) -> dict[str, float]:
        outputs = float(self.batch * self.rows * self.columns)
        return {"macs": outputs * self.depth, "sums": outputs}

    def change(self, change: Dyadic | None) -> list[Array]:
        """Return the constants of a change of scale with (columns,) multipliers; unused where the sums stay."""
        change = change or Dyadic(np.zeros(self.columns, np.int32), 1)
        multiplier = np.zeros(padded_columns(self.isa, self.columns), np.int32)
        multiplier[: self.columns] = change.multiplier
        return [multiplier, shift(change)]

    def constants(self, weight: Array, bias: Array, change: Dyadic | None) -> list[Array]:
        """Return the constants of (columns, depth) int8 weights and (columns,) int64 biases."""
        full = np.zeros((1, padded_columns(self.isa, self.columns)), np.int32)
        full[0, : self.columns] = bias - self.isa.zero * weight.astype(np.int64).sum(1)
        return [pack_weight(weight, self.isa), full, *self.change(change)]

    def example(self, rng: np.random.Generator) -> list[Array]:
        made = [rng.integers(-9, 9, argument.shape).astype(argument.dtype) for argument in self.reads()]
        for argument in self.holds():
            made.append(rng.integers(-9, 9, argument.shape).astype(argument.dtype))
        made[-2], made[-1] = np.full(made[-2].shape, 2**30, np.int32), np.array([36], np.int32)
        return made

    def tile(self) -> tuple[int, int]:
        """Return rows and vectors of a tile of sums: as many as there are registers, less what they are fed from."""
        across = blocks(self.isa, self.columns)
        room = 24 if self.isa.registers == 32 else 12
        most = room // across
        return -(-self.rows // -(-self.rows // most)), across

    def build(self, over: Over = serial) -> Any:
        return _tiled(self) if over is serial else _scattered(self, over)


def _tiled(product: Product) -> Any:
    """Return the function: chunks of packed rows, and for each the tiles of sums, column blocks first.

    Written with the builder under the script language, which takes a tenth of the time to read.
    """
    builder, T = ir_builder()  # noqa: N806
    isa, batch, rows, columns, depth = product.isa, product.batch, product.rows, product.columns, product.depth
    mr, nr = product.tile()
    lanes, group = isa.lanes, isa.group
    width = nr * lanes
    groups = -(-depth // group)
    tiles = -(-rows // mr)
    row_bytes = groups * group * np.dtype(isa.packed).itemsize
    per_chunk = max(1, min(tiles, CHUNK_BYTES // (row_bytes * mr)))
    chunk_rows = per_chunk * mr
    padded = padded_columns(isa, columns)
    sums, vector = f"int32x{lanes}", f"{isa.packed.removeprefix('u')}x{lanes * group}"
    bits = np.dtype(isa.packed).itemsize * 8 * group

    def multiplied(acc: Any, row: Any, weight: Any) -> Any:
        """Return the sums with one group of products added."""
        if not isa.intrinsic:
            return acc + T.broadcast(T.Cast("int32", row), lanes) * T.Cast(sums, weight)
        spread = T.reinterpret(vector, T.broadcast(T.reinterpret(f"int{bits}", row), lanes))
        if isa.accumulates:
            return T.call_llvm_pure_intrin(sums, isa.intrinsic, acc, spread, weight)
        return acc + T.call_llvm_pure_intrin(sums, isa.intrinsic, spread, T.Cast(vector, weight))

    with builder() as made, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"tirx.noalias": True})
        x_flat = T.arg("x", T.Buffer((batch * rows * depth,), "int8"))
        weight = T.arg("weight", T.Buffer(packed_shape(isa, batch, columns, depth), "int8"))
        bias = T.arg("bias", T.Buffer((batch, padded), "int32"))
        multiplier = T.arg("multiplier", T.Buffer((padded,), "int32"))
        amount = T.arg("amount", T.Buffer((1,), "int32"))
        y_flat = T.arg("y", T.Buffer((batch * rows * columns,), product.output))
        x = T.decl_buffer((batch, rows, depth), "int8", data=x_flat.data)
        y = T.decl_buffer((batch, rows, columns), product.output, data=y_flat.data)
        chunk = T.alloc_buffer((chunk_rows, groups * group), isa.packed, scope="global")
        acc = T.alloc_buffer((mr * width,), "int32", scope="local")
        tile = T.alloc_buffer((mr, width), "int32", scope="local")

        def pack(i: Any, b: Any, row: Any) -> None:
            """Copy a row into the chunk, 16 numbers at a time."""

            def packed(k: Any) -> Any:
                return T.Cast(isa.packed, T.Cast("int32", x[b, row, k]) + isa.zero)

            with T.serial(depth // 16) as k, T.vectorized(16) as v:
                T.buffer_store(chunk, packed(k * 16 + v), [i, k * 16 + v])
            with T.serial(depth % 16) as k:
                T.buffer_store(chunk, packed(depth // 16 * 16 + k), [i, depth // 16 * 16 + k])

        def each(act: Any) -> None:
            """Run `act` for each vector of sums with constant places, so that they stay in registers."""
            for r in range(mr):
                for c in range(nr):
                    act(r, c, T.ramp((r * nr + c) * lanes, 1, lanes))

        def multiply(b: Any, jb: Any, ib: Any, k: Any) -> None:
            at = T.ramp(k * group, 1, group) if group > 1 else k

            def step(r: int, c: int, place: Any) -> None:
                operands = weight[b, jb * nr + c, k, T.ramp(0, 1, lanes * group)]
                T.buffer_store(acc, multiplied(acc[place], chunk[ib * mr + r, at], operands), [place])

            each(step)

        def finish(b: Any, row: Any, jb: Any, r: Any, j: Any) -> None:
            value, column = tile[r, j], jb * width + j
            if product.output != "int32":
                change = scaled(value, multiplier[column], amount[0])
                value = clamped(change, product.low, product.output)
            T.buffer_store(y, value, [b, row, column])

        def one_tile(b: Any, jb: Any, ib: Any, row: Any) -> None:
            """Compute the sums of a tile from its bias on and store them as the product's type."""

            def begin(r: int, c: int, place: Any) -> None:
                T.buffer_store(acc, bias[b, T.ramp(jb * width + c * lanes, 1, lanes)], [place])

            each(begin)
            with T.serial(groups) as k:
                multiply(b, jb, ib, k)
            # A variable place in `acc` itself would take the sums out of their registers.
            each(lambda r, c, place: T.buffer_store(tile, acc[place], [r, T.ramp(c * lanes, 1, lanes)]))
            with T.serial(mr) as r, T.If(row + r < rows), T.Then(), T.If(jb * width + width <= columns):
                with T.Then(), T.vectorized(width) as j:
                    finish(b, row + r, jb, r, j)
                with T.Else(), T.serial(columns % width) as j:
                    finish(b, row + r, jb, r, j)

        with T.serial(batch) as b, T.serial(-(-tiles // per_chunk)) as number:
            first = number * chunk_rows
            with T.serial(chunk_rows) as i, T.If(first + i < rows), T.Then():
                pack(i, b, first + i)
            with T.serial(padded // width) as jb, T.serial(per_chunk) as ib, T.If(first + ib * mr < rows), T.Then():
                one_tile(b, jb, ib, first + ib * mr)
    return made.get()


def _scattered(product: Product, over: Over) -> Any:
    """Return the function with one item per number of the result: for devices with many threads."""
    builder, T = ir_builder()  # noqa: N806
    isa, batch, rows, columns, depth = product.isa, product.batch, product.rows, product.columns, product.depth
    padded = padded_columns(isa, columns)
    with builder() as made, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"tirx.noalias": True})
        x_flat = T.arg("x", T.Buffer((batch * rows * depth,), "int8"))
        weight = T.arg("weight", T.Buffer(packed_shape(isa, batch, columns, depth), "int8"))
        bias = T.arg("bias", T.Buffer((batch, padded), "int32"))
        multiplier = T.arg("multiplier", T.Buffer((padded,), "int32"))
        amount = T.arg("amount", T.Buffer((1,), "int32"))
        y = T.arg("y", T.Buffer((batch * rows * columns,), product.output))
        x = T.decl_buffer((batch * rows, depth), "int8", data=x_flat.data)
        with over(T, batch * rows * columns) as item:
            row, column = T.floordiv(item, columns), T.floormod(item, columns)
            b, vector, lane = T.floordiv(row, rows), T.floordiv(column, isa.lanes), T.floormod(column, isa.lanes)
            total = T.alloc_buffer((1,), "int32", scope="local")
            T.buffer_store(total, bias[b, column], [0])
            with T.serial(depth) as k:
                place = lane * isa.group + T.floormod(k, isa.group)
                factor = T.Cast("int32", weight[b, vector, T.floordiv(k, isa.group), place])
                number = T.Cast("int32", x[row, k]) + isa.zero
                T.buffer_store(total, total[0] + number * factor, [0])
            value = total[0]
            if product.output != "int32":
                value = clamped(scaled(value, multiplier[column], amount[0]), product.low, product.output)
            T.buffer_store(y, value, [item])
    return made.get()

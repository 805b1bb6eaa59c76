"""What several kernels share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from hardware.tvm_int8.arithmetic import WIDE_SHIFT, Array, Dyadic
from searchspaces import NasError

BLOCK_THREADS = 64
INSTALL = "TVM is not installed; install it with: pip install 'nas[tvm]'"


def require_tvm() -> Any:
    """Return the module `tvm`.

    Raises:
        NasError: where TVM is missing, with the command that installs it.
    """
    try:
        import tvm
    except ImportError as error:
        raise NasError(INSTALL) from error
    return tvm


@lru_cache(maxsize=1)
def ir_builder() -> tuple[Any, Any]:
    """Return TVM's builder of functions and its namespace."""
    require_tvm()
    from tvm.script.ir_builder import IRBuilder, tirx

    return IRBuilder, tirx


# Runs independent work items: called with the builder's namespace and a count, it gives the index of each in turn.
Over = Callable[[Any, int], AbstractContextManager[Any]]


def serial(T: Any, count: int) -> AbstractContextManager[Any]:  # noqa: N803
    """Run the items one after the other: on a processor."""
    loop: AbstractContextManager[Any] = T.serial(count)
    return loop


@contextmanager
def threads(T: Any, count: int) -> Iterator[Any]:  # noqa: N803
    """Run each item in a thread of its own: on a CUDA device."""
    block = min(count, BLOCK_THREADS)
    with (
        T.thread_binding(-(-count // block), thread="blockIdx.x") as number,
        T.thread_binding(block, thread="threadIdx.x") as thread,
    ):
        item = number * block + thread
        if count % block:
            with T.If(item < count), T.Then():
                yield item
        else:
            yield item


def shift(change: Dyadic) -> Array:
    """Return the shift of a change of scale as the (1,) array that kernels take."""
    return np.array([change.shift], np.int32)


def scaled(value: Any, multiplier: Any, amount: Any, addend: Any = None) -> Any:
    """Return the expression (value * multiplier + addend + 2^(amount - 1)) >> amount as int32.

    AVX2 has no arithmetic shift of 64 bits: 2^62 makes the sum positive for a logical one, and leaves afterwards.
    """
    _, T = ir_builder()  # noqa: N806
    wide = T.Cast("int64", value) * T.Cast("int64", multiplier)
    if addend is not None:
        wide = wide + addend
    amount64 = T.Cast("int64", amount)
    offset = T.shift_left(T.int64(1), amount64 - T.int64(1)) + T.int64(1 << WIDE_SHIFT)
    shifted = T.shift_right(T.Cast("uint64", wide + offset), T.Cast("uint64", amount64))
    return T.Cast("int32", shifted) - T.Cast("int32", T.shift_right(T.int64(1 << WIDE_SHIFT), amount64))


def clamped(value: Any, low: int, dtype: str) -> Any:
    """Return the expression within `low` and the type's largest number, as that type."""
    _, T = ir_builder()  # noqa: N806
    return T.Cast(dtype, T.max(T.min(value, int(np.iinfo(dtype).max)), low))

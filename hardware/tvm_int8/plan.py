"""A network as a list of kernel calls on integer buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

import numpy as np

from hardware.tvm_int8.arithmetic import Array


@dataclass(frozen=True)
class Argument:
    """Shape and type of one array a kernel takes or gives."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


class Kernel(Protocol):
    """A compiled function, defined by its sizes alone: scales and weights are arguments.

    Arguments come in the order activations, constants, results.
    """

    def reads(self) -> Sequence[Argument]:
        """Return the activations it takes."""

    def holds(self) -> Sequence[Argument]:
        """Return the constants it takes."""

    def gives(self) -> Sequence[Argument]:
        """Return what it writes."""

    def work(self) -> dict[str, float]:
        """Return how much it does, by kind of work, for predictors fitted on such features."""

    def build(self, over: Any = ..., /) -> Any:
        """Return the TIR function; `over` says how its independent items run (`kernels.common`), else serially."""

    def __hash__(self) -> int:
        """Return what equal kernels share."""

    def example(self, rng: np.random.Generator) -> list[Array]:
        """Return activations and constants it can be run with."""


@dataclass
class Call:
    """One run of a kernel.

    Args:
        kernel: what runs.
        layer: place in the network, for messages and breakdowns.
        kind: kind of operator (`hardware.graph.KINDS`).
        inputs: numbers of the buffers it reads.
        outputs: numbers of the buffers it writes.
        constants: arrays of `kernel.holds()`; empty in a plan made on the meta device.
    """

    kernel: Kernel
    layer: str
    kind: str
    inputs: list[int]
    outputs: list[int]
    constants: list[Array] = field(default_factory=list)


@dataclass(frozen=True)
class Held:
    """A buffer that is constant, such as a position table.

    Args:
        argument: shape and type.
        values: None in a plan made on the meta device.
    """

    argument: Argument
    values: Array | None


@dataclass
class Plan:
    """A whole network, or a part of one.

    Args:
        calls: in the order they run.
        held: the buffers that are constant, by number.
        image: the input (int8 for a whole network), in steps of `image_scale`; buffer 1.
        image_scale: real value of one step of the input.
        output: number of the buffer with the result.
        output_shape: of the result, without the batch.
        output_scale: real value of one step of the result, a number or one per class.
    """

    calls: list[Call]
    held: dict[int, Held]
    image: Argument
    image_scale: float
    output: int
    output_shape: tuple[int, ...]
    output_scale: Array | float

    def weight_bytes(self) -> int:
        """Return the bytes of all constants."""
        tables = sum(held.argument.bytes for held in self.held.values())
        return tables + sum(argument.bytes for call in self.calls for argument in call.kernel.holds())

    def peak_bytes(self) -> int:
        """Return the most bytes of activations alive at once, each from its writing to its last reading."""
        last = {buffer: place for place, call in enumerate(self.calls) for buffer in call.inputs}
        last[self.output] = len(self.calls)
        alive, now, peak = {1: self.image.bytes}, self.image.bytes, self.image.bytes
        for place, call in enumerate(self.calls):
            for buffer, argument in zip(call.outputs, call.kernel.gives(), strict=True):
                alive[buffer] = argument.bytes
                now += argument.bytes
            peak = max(peak, now)
            for buffer in [buffer for buffer in alive if last.get(buffer, -1) <= place]:
                now -= alive.pop(buffer)
        return peak

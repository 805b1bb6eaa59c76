"""What a torch module computes, step by step, with the range of every number: recorded while it runs.

Runs on the meta device too, where the steps and shapes are known and the ranges are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from hardware.target import UnsupportedError
from hardware.tvm_int8.layout import whole

if TYPE_CHECKING:
    from torch import nn


@dataclass
class View:
    """A tensor of the network as addresses into buffers.

    Args:
        addresses: int64, the shape of the tensor.
        buffers: numbers of the buffers that the addresses may name.
    """

    addresses: Tensor
    buffers: frozenset[int]


@dataclass
class Step:
    """One operator that computes.

    Args:
        kind: ``linear``, ``attention``, ``layer_norm``, ``gelu``, ``table``, ``add``, ``mean`` or ``constant``.
        layer: what messages call it.
        inputs: what it reads.
        buffer: number of the buffer it writes.
        shape: of the tensor it gives, the batch of one included.
        result: where that tensor lies in the buffer, None for in order.
        tensors: weights by name, in floating point.
        settings: what else defines it.
        largest: magnitude of the largest number it gives.
    """

    kind: str
    layer: str
    inputs: list[View]
    buffer: int
    shape: tuple[int, ...]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    largest: float = 1.0


@dataclass
class Recording:
    """All steps of one run.

    Args:
        steps: in order.
        image: shape of the input, the batch of one included; it is buffer 1.
        largest: magnitude of the largest number of the input.
        output: what the network gives.
        joined: sets of buffers that must share one scale, as one tensor names several.
    """

    steps: list[Step]
    image: tuple[int, ...]
    largest: float
    output: View
    joined: list[frozenset[int]]


IMAGE = 1  # number of the buffer that holds the input


def record(module: nn.Module, image: Tensor) -> Recording:
    """Run `module` on one image (batch of one) and return its steps.

    Raises:
        UnsupportedError: for an operator without an integer kernel, naming it.
    """
    from hardware.tvm_int8.handlers import HANDLERS, LAYOUT

    recorder = Recorder(HANDLERS, LAYOUT)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    recorder.names = names
    with torch.no_grad(), recorder:
        recorder.track(image, View(whole(IMAGE, tuple(image.shape)), frozenset({IMAGE})))
        output = module.eval()(image)
    return Recording(recorder.steps, tuple(image.shape), _largest(image), recorder.view(output), recorder.joined)


def merge_ranges(recordings: Sequence[Recording]) -> Recording:
    """Return the first recording with the largest magnitudes of all: runs of one module on several images."""
    first = recordings[0]
    for other in recordings[1:]:
        first.largest = max(first.largest, other.largest)
        for step, same in zip(first.steps, other.steps, strict=True):
            step.largest = max(step.largest, same.largest)
            for name in step.settings.keys() & {"scores", "peak"}:
                step.settings[name] = max(step.settings[name], same.settings[name])
    return first


class Recorder(TorchFunctionMode):
    """Sees every torch function the module calls."""

    def __init__(self, handlers: dict[Any, Callable[..., Any]], layout: frozenset[Any]) -> None:
        super().__init__()
        self.handlers = handlers
        self.layout = layout
        self.steps: list[Step] = []
        self.joined: list[frozenset[int]] = []
        self.names: dict[int, str] = {}
        self._views: dict[int, View | None] = {}
        self._kept: list[Tensor] = []  # an id is a tensor's for as long as the tensor lives
        self._buffers = IMAGE

    # --- what handlers use ----------------------------------------------------------------------------------

    def tracked(self, value: object) -> bool:
        """Return whether a value is a tensor that depends on the image, or a list with one."""
        if isinstance(value, list | tuple):
            return any(self.tracked(item) for item in value)
        return isinstance(value, Tensor) and id(value) in self._views

    def view(self, tensor: Tensor) -> View:
        """Return where a tensor lies; one that does not depend on the image becomes a constant step."""
        if id(tensor) not in self._views:
            layer = self.names.get(id(tensor), "a constant")
            self.emit("constant", layer, [], tensor, tensors={"values": tensor})
        view = self._views[id(tensor)]
        if view is None:
            raise UnsupportedError("the network reads what a normalisation or activation after it was folded into")
        return view

    def track(self, tensor: Tensor, view: View) -> None:
        """Remember where a tensor lies."""
        self._views[id(tensor)] = view
        self._kept.append(tensor)

    def emit(
        self,
        kind: str,
        layer: str,
        inputs: list[View],
        result: Tensor,
        tensors: dict[str, Tensor] | None = None,
        lies: tuple[tuple[int, ...], Callable[[Tensor], Tensor]] | None = None,
        **settings: Any,
    ) -> Step:
        """Add a step and remember its result.

        Args:
            lies: shape of the buffer and what makes of it the shape of the result; None for the same shape.
        """
        self._buffers += 1
        shape = tuple(result.shape) if lies is None else lies[0]
        addresses = whole(self._buffers, shape)
        self.track(result, View(addresses if lies is None else lies[1](addresses), frozenset({self._buffers})))
        step = Step(kind, layer, inputs, self._buffers, shape, tensors or {}, settings, _largest(result))
        self.steps.append(step)
        return step

    def absorb(self, before: Tensor, after: Tensor, kind: str) -> Step | None:
        """Return the step that gave `before`, for folding what makes `after` of it into it, if that can be.

        The step must be the last one, of this kind, and what it gave must be all of `before`, which cannot be read
        any more.
        """
        view = self._views[id(before)]
        step = self.steps[-1] if self.steps else None
        if view is None or step is None or step.kind != kind or view.buffers != {step.buffer}:
            return None
        self._views[id(before)] = None
        self.track(after, view)
        step.largest = _largest(after)
        return step

    def name_of(self, parameter: Tensor | None, otherwise: str) -> str:
        """Return the dotted name of a parameter's module."""
        return self.names.get(id(parameter), otherwise).rpartition(".")[0] or otherwise

    # --- the mode -------------------------------------------------------------------------------------------

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not any(self.tracked(value) for value in (*args, *kwargs.values())):
            return func(*args, **kwargs)
        if func in self.layout:
            return self._move(func, args, kwargs)
        if func in self.handlers:
            return self.handlers[func](self, func, *args, **kwargs)
        result = func(*args, **kwargs)
        if _has_tensor(result):
            name = getattr(func, "__name__", str(func))
            raise UnsupportedError(f"the operator {name!r} has no integer kernel")
        return result

    def _move(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Apply a layout operator to the tensors and to their addresses."""
        buffers: set[int] = set()

        def addressed(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return type(value)(addressed(item) for item in value)
            if not isinstance(value, Tensor):
                return value
            view = self.view(value)
            buffers.update(view.buffers)
            return view.addresses

        moved = func(*addressed(args), **{key: addressed(value) for key, value in kwargs.items()})
        result = func(*args, **kwargs)
        named = frozenset(buffers)
        if len(named) > 1:
            self.joined.append(named)
        for tensor, addresses in _pairs(result, moved):
            self.track(tensor, View(addresses, named))
        return result


def _pairs(result: Any, moved: Any) -> list[tuple[Tensor, Tensor]]:
    if isinstance(result, Tensor):
        return [(result, moved)]
    return list(zip(result, moved, strict=True))


def _has_tensor(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_has_tensor(item) for item in value)
    return isinstance(value, Tensor)


def _largest(tensor: Tensor) -> float:
    """Return the largest magnitude, 1 on the meta device."""
    return 1.0 if tensor.is_meta or not tensor.numel() else float(tensor.abs().max())

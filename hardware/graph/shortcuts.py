"""What keeps a trace quick: torch's own meta kernels and initialisers are Python and take most of its time.

Nothing is computed on the meta device, so an initialiser has nothing to do there, and the output of the most frequent
operators follows from the shapes of their inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_INITIALISERS = {
    *("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "constant_"),
    *("zero_", "fill_", "erfinv_", "mul_", "add_", "clamp_", "ones_", "zeros_", "xavier_normal_", "copy_"),
}
_UNARY = {"relu", "gelu", "silu", "sigmoid", "tanh", "hardswish", "_softmax", "_safe_softmax"}
_BINARY = {"add", "sub", "mul", "div"}


class NoInitialisation(TorchFunctionMode):
    """While modules are built on the meta device: calls that would fill a tensor with numbers return it as it is."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in _INITIALISERS:
            tensor = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **(kwargs or {}))


def known_output(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the output of a torch operator whose shape is plain from its inputs; None where it is not.

    Args:
        name: of the torch operator, without namespace and overload.
    """
    if not args or not isinstance(args[0], Tensor):
        return None
    first = args[0]
    if name in _UNARY:
        return _like(first)
    if name in _BINARY and len(args) == 2 and first.is_contiguous() and first.is_floating_point():
        second = args[1]
        if not isinstance(second, Tensor) or (second.dtype == first.dtype and _fits(second.shape, first.shape)):
            return _like(first)
    if name == "floor_divide" and isinstance(args[1], int):
        return _like(first)
    if name == "clone":
        contiguous = kwargs.get("memory_format") in (torch.contiguous_format, None) and first.is_contiguous()
        if contiguous or kwargs.get("memory_format") == torch.contiguous_format:
            return first.new_empty(first.shape)
    if name in ("mm", "bmm", "addmm"):
        a, b = args[-2:]
        return a.new_empty((*a.shape[:-1], b.shape[-1]))
    if name == "native_layer_norm":
        kept = first.dim() - len(args[1])
        statistics = first.new_empty((*first.shape[:kept], *(1 for _ in args[1])))
        return first.new_empty(first.shape), statistics, statistics
    return None


def _like(tensor: Tensor) -> Tensor:
    """Return an empty tensor as `torch.empty_like` does, whose meta kernel is Python."""
    if tensor.is_contiguous():
        return tensor.new_empty(tensor.shape)
    return torch.empty_like(tensor)


def _fits(small: torch.Size, shape: torch.Size) -> bool:
    """Whether a tensor of the first shape can be spread over the second without changing it."""
    if len(small) > len(shape):
        return False
    return all(a in (1, b) for a, b in zip(reversed(small), reversed(shape), strict=False))

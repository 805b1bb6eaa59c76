"""Small questions about tensors and modules that a trace asks."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from math import prod
from typing import Any

from torch import Tensor, nn


def storage_of(tensor: Tensor) -> int:
    """Return what tells storages apart; views share theirs."""
    return tensor.untyped_storage()._cdata


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape without the batch, which is 1 where there is one."""
    shape = tuple(tensor.shape)
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def numbers_in(tensor: Tensor) -> int:
    """Return how many different numbers a tensor holds: what was broadcast is read once."""
    return prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)


def is_torch_layer(module: nn.Module) -> bool:
    """Whether the module is one of torch's own layers, or made from one."""
    return any(cls.__module__.startswith("torch.nn.modules.") and cls is not nn.Module for cls in type(module).__mro__)


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among arguments or results, lists of them opened."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_in(value)
    return found


def named(names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    return [args[i] if i < len(args) else kwargs.get(name) for i, name in enumerate(names)]


def free_name(name: str, taken: Container[str], between: str = "") -> str:
    """Return the name, with a number if others have it already."""
    number, found = 2, name
    while found in taken:
        number, found = number + 1, f"{name}{between}{number}"
    return found

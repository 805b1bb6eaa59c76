"""A piece of a network that is described, built, counted and timed on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Part:
    """One step of a network: what builds it and the shape it takes.

    Equal parts are the same module up to weights, so costs are traced once and looked up afterwards; the name
    takes no part in equality.

    Args:
        name: dotted place in the network, such as ``stage1.block2``.
        factory: called with `arguments`, returns the module.
        arguments: keyword arguments as pairs, all hashable.
        input_shape: shape of the module's input without the batch, such as ``(3, 224, 224)``.
    """

    name: str = field(compare=False)
    factory: Callable[..., nn.Module]
    arguments: tuple[tuple[str, Any], ...]
    input_shape: tuple[int, ...]

    def build(self) -> nn.Module:
        """Return a freshly initialised module."""
        return self.factory(**dict(self.arguments))

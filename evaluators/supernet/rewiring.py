"""Sorting heads and hidden units by magnitude, so that small sub-networks start from the strong ones.

ViT-ResNAS (arXiv 2109.00642) does so at the start of the warm-up's epochs. The function of the full network stays the
same; that of a sub-network, which keeps a prefix, changes. Channels of the embedding are never moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from searchspaces.layers import QkvLinear

Lookup = Callable[[Tensor], list[Tensor]]
Member = tuple[Tensor, int, Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Group:
    """Parts of parameters that are moved together.

    Args:
        members: (parameter, dimension in the view, view of a tensor shaped like the parameter).
        count: heads or hidden units.
    """

    members: tuple[Member, ...]
    count: int

    def order(self) -> Tensor:
        """Return the old place of each new one: by the sum of absolute weights, descending."""
        score = torch.zeros(self.count, dtype=torch.float64, device=self.members[0][0].device)
        for parameter, dimension, view in self.members:
            moved = view(parameter.detach()).movedim(dimension, 0)
            score += moved.abs().reshape(self.count, -1).double().sum(1)
        return score.argsort(descending=True, stable=True)

    def apply(self, order: Tensor, lookup: Lookup) -> None:
        """Move the parts, in the parameters and in the tensors `lookup` names beside each."""
        for parameter, dimension, view in self.members:
            for tensor in (parameter.detach(), *lookup(parameter)):
                part = view(tensor)
                part.copy_(part.index_select(dimension, order))


@torch.no_grad()
def rewire(network: nn.Module, lookup: Lookup = lambda parameter: []) -> dict[str, Tensor]:
    """Sort the heads and the hidden units of every block by magnitude, in place.

    Args:
        network: modules with `qkv` (a `QkvLinear`) and `projection` are attentions, those with `fc1` and `fc2` MLPs.
        lookup: tensors beside a parameter that are to be moved along, such as the optimizer's moments.

    Returns:
        Name of the attention or MLP to the old place of each new one.
    """
    orders = {}
    for name, group in _groups(network):
        orders[name] = group.order()
        group.apply(orders[name], lookup)
    return orders


def _groups(network: nn.Module) -> Iterator[tuple[str, Group]]:
    for name, module in network.named_modules():
        if isinstance(getattr(module, "qkv", None), QkvLinear):
            yield name, _heads(module)
        elif isinstance(getattr(module, "fc1", None), nn.Linear) and isinstance(
            getattr(module, "fc2", None), nn.Linear
        ):
            yield name, _hidden(module)


def _heads(attention: nn.Module) -> Group:
    """Rows of the three thirds, their biases and the columns of the projection, by head."""
    qkv, projection = attention.get_submodule("qkv"), attention.get_submodule("projection")
    assert isinstance(qkv, QkvLinear)
    assert isinstance(projection, nn.Linear)
    own: Any = attention
    heads = int(own.heads) if hasattr(own, "heads") else projection.in_features // int(own.head_dim)
    thirds = (qkv.groups, heads, -1)
    members: list[Member] = [
        (qkv.weight, 1, lambda tensor: tensor.unflatten(0, thirds)),
        (projection.weight, 1, lambda tensor: tensor.unflatten(1, (heads, -1))),
    ]
    if qkv.bias is not None:
        members.append((qkv.bias, 1, lambda tensor: tensor.unflatten(0, thirds)))
    return Group(tuple(members), heads)


def _hidden(mlp: nn.Module) -> Group:
    """Rows of the first layer, their biases and the columns of the second, by hidden unit."""
    first, second = mlp.get_submodule("fc1"), mlp.get_submodule("fc2")
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    members: list[Member] = [
        (first.weight, 0, lambda tensor: tensor),
        (second.weight, 1, lambda tensor: tensor),
    ]
    if first.bias is not None:
        members.append((first.bias, 0, lambda tensor: tensor))
    return Group(tuple(members), first.out_features)

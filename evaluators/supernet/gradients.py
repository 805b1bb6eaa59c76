"""Gradients of sub-networks, added up in place in one buffer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from evaluators.supernet.supernet import Skeleton, Supernet


class GradientBuffer:
    """The gradients of all parameters of a super-network in one flat tensor.

    Differentiating through a slice of a parameter makes torch allocate a gradient of the full size, once per
    sub-network and parameter. Here the slices are leaves of their own whose `.grad` is a view into this buffer: a
    backward pass adds to exactly the slice. A parameter that no sub-network of a step uses has the gradient 0, as if
    it were masked, not None: the optimizer treats it as it does under masks. One tensor is also one all-reduce.

    Args:
        supernet: its parameters get views of the buffer as `.grad`; they must stay where they are.
    """

    def __init__(self, supernet: Supernet) -> None:
        self._supernet = supernet
        parameters = list(supernet.parameters())
        first = parameters[0]
        self.flat = torch.zeros(sum(p.numel() for p in parameters), dtype=first.dtype, device=first.device)
        offset = 0
        for parameter in parameters:
            parameter.grad = self.flat[offset : offset + parameter.numel()].view_as(parameter)
            offset += parameter.numel()

    def leaves(self, skeleton: Skeleton) -> dict[str, Tensor]:
        """Return the tensors of a sub-network for one forward and backward pass that adds to the buffer."""
        tensors = {}
        for part in skeleton.slices:
            stored = self._supernet.stored(part.name)
            if not isinstance(stored, nn.Parameter):
                tensors[part.name] = part.take(stored)
                continue
            leaf = part.view(stored.detach()).requires_grad_()
            assert stored.grad is not None  # set above; `zero_grad` of an optimizer must not be used
            leaf.grad = part.view(stored.grad)
            tensors[part.name] = part.shaped(leaf)
        return tensors


@contextmanager
def strided_gradients() -> Iterator[None]:
    """Run backward passes into views of the buffer without torch's remark that their memory has gaps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout contract")
        yield

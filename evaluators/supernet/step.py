"""Loss and gradients of one training step over several sub-networks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from evaluators.supernet.body import Outputs
from evaluators.supernet.gradients import GradientBuffer, strided_gradients
from evaluators.supernet.mixing import Targets
from evaluators.supernet.supernet import Supernet
from searchspaces import Architecture


class Autocast(Protocol):
    """Gives the context a forward pass runs in."""

    def __call__(self) -> AbstractContextManager[object]: ...


def loss_of(outputs: Outputs, targets: Targets) -> Tensor:
    """Return the cross entropy of the class logits plus, with a patch head, that of the mean patch logit's.

    Both are means over the samples, the second over the patch tokens too; they have equal weight.
    """
    loss = _cross_entropy(outputs.classes, targets.classes)
    if outputs.patches is not None:
        assert targets.patches is not None  # a patch head exists for token mixing, which gives them
        loss = loss + _cross_entropy(outputs.patches.flatten(0, 1), targets.patches.flatten(0, 1))
    return loss


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    logits = _precise(logits)
    return F.cross_entropy(logits, targets.to(logits.dtype))


def _precise(logits: Tensor) -> Tensor:
    """Return logits in float32 at least, whatever the precision of the network."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def interleaved_step(
    supernet: Supernet,
    buffer: GradientBuffer,
    images: Tensor,
    targets: Targets,
    architectures: Sequence[Architecture],
    autocast: Autocast,
) -> Tensor:
    """Add the gradients of a batch whose sample n goes through architecture n mod A; return its mean loss.

    The samples of an architecture run together, forward and backward, before the next one begins, so that the memory
    of a step is that of one group. Loss and gradients are those of the mixed batch under masks.

    Args:
        images: (batch, channels, size, size).
        architectures: the A networks of this step.
    """
    count = min(len(architectures), len(images))
    groups = [(a, slice(first, None, count)) for first, a in enumerate(architectures[:count])]
    weights = [len(range(first, len(images), count)) / len(images) for first in range(count)]
    trunk = _Trunk(supernet, images, autocast)
    total = torch.zeros((), device=images.device)
    for (architecture, rows), weight in zip(groups, weights, strict=True):
        wanted = targets.every(rows.start, count)
        loss, _ = _accumulate(supernet, buffer, trunk, rows, architecture, wanted, weight, autocast)
        total = total + loss
    trunk.backward()
    return total


def sandwich_step(
    supernet: Supernet,
    buffer: GradientBuffer,
    images: Tensor,
    targets: Targets,
    architectures: Sequence[Architecture],
    autocast: Autocast,
    distill: bool,
) -> Tensor:
    """Add the gradients of the whole batch through every architecture, each with weight 1/A; return the mean loss.

    Args:
        architectures: the largest first; with `distill` its outputs are the targets of the others (Yu et al., 2019,
            arXiv 1903.05134).
    """
    trunk = _Trunk(supernet, images, autocast)
    total = torch.zeros((), device=images.device)
    everything, weight = slice(None), 1 / len(architectures)
    for number, architecture in enumerate(architectures):
        loss, outputs = _accumulate(supernet, buffer, trunk, everything, architecture, targets, weight, autocast)
        total = total + loss
        if number == 0 and distill:
            classes, patches = outputs
            targets = Targets(_precise(classes).softmax(-1), None if patches is None else _precise(patches).softmax(-1))
    trunk.backward()
    return total


class _Trunk:
    """The shared first layers, run once for the whole batch, with the gradients that come back from the groups."""

    def __init__(self, supernet: Supernet, images: Tensor, autocast: Autocast) -> None:
        self.shared = supernet.trunk is not None
        with autocast():
            self._output = supernet.run_trunk(images)
        self._gradient = torch.zeros_like(self._output) if self.shared else None

    def rows(self, rows: slice) -> Tensor:
        """Return some samples as a leaf."""
        return self._output.detach()[rows].requires_grad_(self.shared)

    def take_gradient(self, leaf: Tensor, rows: slice) -> None:
        """Add the gradient of a leaf that `rows` gave."""
        if self._gradient is not None:
            assert leaf.grad is not None
            self._gradient[rows] += leaf.grad

    def backward(self) -> None:
        """Send the gradients of all groups through the trunk."""
        if self._gradient is not None:
            self._output.backward(self._gradient)


def _accumulate(
    supernet: Supernet,
    buffer: GradientBuffer,
    trunk: _Trunk,
    rows: slice,
    architecture: Architecture,
    targets: Targets,
    weight: float,
    autocast: Autocast,
) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
    """Run some samples through one architecture and back; return the weighted loss and the outputs, detached."""
    skeleton = supernet.skeleton(architecture, tail=True)
    leaf = trunk.rows(rows)
    with autocast():
        outputs = supernet.run(skeleton, buffer.leaves(skeleton), leaf)
    loss = loss_of(outputs, targets) * weight
    with strided_gradients():
        loss.backward()
    trunk.take_gradient(leaf, rows)
    patches = None if outputs.patches is None else outputs.patches.detach()
    return loss.detach(), (outputs.classes.detach(), patches)

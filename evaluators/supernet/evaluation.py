"""Accuracy of sub-networks with inherited weights, on images that stay in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from evaluators.supernet.supernet import Skeleton, Supernet
from evaluators.training.device import autocast
from evaluators.training.splits import Split
from searchspaces import Architecture, NasError

BatchNormRule = Literal["inherit", "recalibrate"]


@dataclass(frozen=True)
class CachedSplit:
    """Pre-processed images kept as tensors, for looking at them again and again.

    Args:
        images: (count, channels, size, size) float32, normalised.
        labels: (count,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def cache_split(split: Split, limit: int | None = None, device: torch.device | str = "cpu") -> CachedSplit:
    """Return the images of a split, without augmentation, as tensors on a device.

    A thousand images of 224 px take 0.6 GB.

    Args:
        limit: most images; those that are taken lie evenly over the split. None: all.
    """
    batches = list(split.eval_batches(256))
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    if limit is not None and limit < len(labels):
        places = torch.arange(limit) * len(labels) // limit
        images, labels = images[places], labels[places]
    return CachedSplit(images.to(device), labels.to(device))


@torch.inference_mode()
def subnet_accuracy(
    supernet: Supernet,
    architectures: Sequence[Architecture],
    split: CachedSplit | Split,
    *,
    batch_size: int = 256,
    batch_norm: BatchNormRule = "inherit",
    calibration: CachedSplit | None = None,
    precision: str = "fp32",
) -> list[float]:
    """Return the share of correctly classified images per sub-network, in [0, 1].

    The mode of the super-network, its weights and its statistics stay as they were.

    Args:
        split: cache it (`cache_split`) when calling this more than once.
        batch_norm: ``inherit`` takes the statistics of the super-network; ``recalibrate`` takes, for each sub-network,
            the mean statistics over `calibration`. In ViT-ResNAS normalised layers are the same in all sub-networks,
            so that there the two differ by chance only.
        calibration: training images, for ``recalibrate``.
        precision: ``fp32`` or ``bf16``.

    Raises:
        NasError: an architecture that is no sub-network, ``recalibrate`` without images, or outputs not finite.
    """
    if batch_norm == "recalibrate" and calibration is None:
        raise NasError("batch_norm='recalibrate' needs calibration images; give a CachedSplit of training images")
    cached = split if isinstance(split, CachedSplit) else cache_split(split)
    device = next(supernet.parameters()).device
    before = supernet.training
    supernet.eval()
    try:
        found = []
        for architecture in architectures:
            skeleton = supernet.skeleton(architecture)
            tensors = supernet.tensors(skeleton)
            if batch_norm == "recalibrate" and calibration is not None:
                tensors = _recalibrated(supernet, skeleton, tensors, calibration, batch_size, precision)
            correct = 0
            for images, labels in zip(cached.images.split(batch_size), cached.labels.split(batch_size), strict=True):
                with autocast(device, precision):
                    logits = supernet.run(skeleton, tensors, images.to(device)).classes
                if not torch.isfinite(logits).all():
                    raise NasError("a sub-network gives outputs that are not finite; train with a lower learning_rate")
                correct += int((logits.argmax(1) == labels.to(device)).sum())
            found.append(correct / len(cached))
    finally:
        supernet.train(before)
    return found


def _recalibrated(
    supernet: Supernet,
    skeleton: Skeleton,
    tensors: dict[str, Tensor],
    calibration: CachedSplit,
    batch_size: int,
    precision: str,
) -> dict[str, Tensor]:
    """Return the tensors with the mean statistics of batch normalisation over the calibration images."""
    skeleton.body.eval()  # now, so that `run` does not do so to the layers below
    layers = {name: layer for name, layer in skeleton.body.named_modules() if isinstance(layer, _BatchNorm)}
    own = dict(tensors)
    for name in layers:
        for buffer in ("running_mean", "running_var", "num_batches_tracked"):
            own[f"{name}.{buffer}"] = torch.zeros_like(tensors[f"{name}.{buffer}"])
    momenta = {name: layer.momentum for name, layer in layers.items()}
    device = next(supernet.parameters()).device
    try:
        for layer in layers.values():
            layer.momentum = None  # torch's word for the plain mean
            nn.Module.train(layer, True)
        for images in calibration.images.split(batch_size):
            with autocast(device, precision):
                supernet.run(skeleton, own, images.to(device))
    finally:
        for name, layer in layers.items():
            layer.momentum = momenta[name]
            nn.Module.train(layer, False)
    return own

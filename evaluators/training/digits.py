"""scikit-learn's embedded digits: 1,797 grey images of 8 x 8 pixels, for training without a download."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits as sklearn_digits
from torch import Tensor
from torch.nn import functional as F

from evaluators.training.recipe import DIGITS, Recipe
from evaluators.training.splits import ALL_IMAGES, Batch, DataSplits, Share, epoch_order, stratified_cut

IMAGE_SIZE = 32
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


def load_digits(recipe: Recipe) -> DataSplits:
    """Return digits cut 70 / 10 / 20 by class, upsampled bilinearly, with mean 0 and variance 1 over the training set.

    The cut depends on `recipe.split_seed` only, so runs of other seeds are tested on the same images.
    """
    size = recipe.image_size or IMAGE_SIZE
    raw = sklearn_digits()
    images = torch.from_numpy(raw.images.astype(np.float32) / 16).unsqueeze(1)
    images = F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    labels = raw.target.astype(np.int64)
    rest, test = stratified_cut(labels, TEST_SHARE, recipe.split_seed)
    kept, cut = stratified_cut(labels[rest], VALIDATION_SHARE / (1 - TEST_SHARE), recipe.split_seed)
    train, validation = rest[kept], rest[cut]
    mean, std = float(images[train].mean()), float(images[train].std())
    images = (images - mean) / std
    parts = {"train": train, "validation": validation, "test": test}
    splits = {name: TensorSplit(images[i], torch.from_numpy(labels[i]), recipe) for name, i in parts.items()}
    classes = tuple(str(name) for name in raw.target_names)
    return DataSplits(DIGITS, classes, 1, size, preprocessing=_preprocessing(mean, std), **splits)


def _preprocessing(mean: float, std: float) -> dict[str, Any]:
    """Return how a picture with values in [0, 1], white digits on black, becomes an input."""
    return {"mean": [mean], "std": [std], "interpolation": "bilinear", "crop": 1.0}


class TensorSplit:
    """Images that fit into memory as one tensor, augmented a batch at a time.

    Args:
        images: (count, channels, size, size) float32, normalised.
        labels: (count,) int64.
        recipe: read for `shift`, `rotation` and `zoom`.
    """

    def __init__(self, images: Tensor, labels: Tensor, recipe: Recipe) -> None:
        self.images, self.labels = images, labels
        self._recipe = recipe

    def __len__(self) -> int:
        return len(self.labels)

    def train_batches(
        self, batch_size: int, seed: int, epoch: int, first: int = 0, share: Share = ALL_IMAGES
    ) -> Iterator[Batch]:
        """Yield augmented full batches in an order set by (seed, epoch), the same images for any share."""
        for step, indices in enumerate(epoch_order(len(self), batch_size * share.size, seed, epoch)):
            if step < first:
                continue
            rng = np.random.default_rng((seed, epoch, step))
            mine = share.of(len(indices))
            theta = random_affine(len(indices), rng, self._recipe)[mine]
            yield warp(self.images[indices[mine]], theta), self.labels[indices[mine]]

    def eval_batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield every image once, in fixed order."""
        yield from zip(self.images.split(batch_size), self.labels.split(batch_size), strict=True)


def random_affine(count: int, rng: np.random.Generator, recipe: Recipe) -> Tensor:
    """Return (count, 2, 3) maps from output to input coordinates in [-1, 1]: a rotation, zoom per axis and shift."""
    angle = rng.uniform(-1, 1, count) * math.radians(recipe.rotation)
    zoom = np.exp(rng.uniform(-1, 1, (count, 2)) * math.log1p(recipe.zoom))
    shift = rng.uniform(-2, 2, (count, 2)) * recipe.shift  # the side is 2 long in these coordinates
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    return torch.from_numpy(np.concatenate([rotation * zoom[:, None, :], shift[:, :, None]], 2).astype(np.float32))


def warp(images: Tensor, theta: Tensor) -> Tensor:
    """Return the images moved by `theta`; what comes into view from outside repeats the border.

    Args:
        images: (batch, channels, size, size).
        theta: (batch, 2, 3) of `random_affine`.
    """
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)

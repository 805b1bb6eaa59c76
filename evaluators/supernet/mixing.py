"""Token mixing, the augmentation of ViT-ResNAS (arXiv 2109.00642): cut-and-paste on token cells, and mixup."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_GRID = 2  # on a single cell a cut-and-paste never pastes anything
MIXUP_ALPHA = 0.8


@dataclass(frozen=True)
class Targets:
    """What the outputs of a step should be.

    Args:
        classes: (batch, classes) probabilities.
        patches: (batch, tokens, classes) probabilities, or None.
    """

    classes: Tensor
    patches: Tensor | None = None

    def every(self, first: int, step: int) -> Targets:
        """Return the targets of the samples first, first + step, ..."""
        return Targets(self.classes[first::step], None if self.patches is None else self.patches[first::step])


def smooth_targets(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """Return (batch, classes) probabilities: 1 - smoothing on the label, smoothing spread evenly over all classes."""
    return F.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes


def draw_box(side: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) in cells of a side x side grid, as the authors draw it.

    The upper bound of a place is exclusive twice in the authors' code, so that the bottom row and the right column are
    replaced less often; it is kept. A budget below one cell gives a width of 0.
    """
    budget = math.floor(side * side * rng.beta(1.0, 1.0))
    longest = min(side, budget)
    height = int(rng.integers(1, max(1, longest - 2) + 1)) if longest > 2 else 1
    width = budget // height
    if width > side:
        width, height = side, budget // side
    top, left = (int(rng.integers(0, max(1, side - size))) for size in (height, width))
    return top, left, height, width


def mix_tokens(images: Tensor, targets: Tensor, side: int, rng: np.random.Generator) -> tuple[Tensor, Targets]:
    """Return mixed images and their targets.

    The first half of the batch is cut and pasted: one box for the half, from a random partner in it, at the same place.
    The second half is mixed with one weight. Grids too small for a box (images of few pixels) have all images mixed.

    Args:
        images: (batch, channels, size, size); `side` divides the size.
        targets: (batch, classes) smoothed probabilities.
        side: cells per side, that is patch tokens per side of the last stage.
    """
    half = len(images) // 2 if side >= LEAST_GRID else 0
    mixed, classes = images.clone(), targets.clone()
    patches = targets[:, None, :].repeat(1, side * side, 1)
    if half:
        partner = torch.from_numpy(rng.permutation(half)).to(images.device)
        top, left, height, width = draw_box(side, rng)
        cell = images.shape[-1] // side
        rows = slice(top * cell, (top + height) * cell)
        columns = slice(left * cell, (left + width) * cell)
        mixed[:half, :, rows, columns] = images[:half][partner][:, :, rows, columns]
        kept = 1 - height * width / side**2
        classes[:half] = kept * targets[:half] + (1 - kept) * targets[:half][partner]
        cells = patches.unflatten(1, (side, side))  # a view
        cells[:half, top : top + height, left : left + width] = targets[:half][partner][:, None, None, :]
    partner = torch.from_numpy(half + rng.permutation(len(images) - half)).to(images.device)
    weight = float(rng.beta(MIXUP_ALPHA, MIXUP_ALPHA))
    mixed[half:] = weight * images[half:] + (1 - weight) * images[partner]
    classes[half:] = weight * targets[half:] + (1 - weight) * targets[partner]
    patches[half:] = classes[half:, None, :]
    return mixed, Targets(classes, patches)

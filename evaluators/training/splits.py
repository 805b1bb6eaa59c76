"""What training needs of a data set: three splits that give batches in an order set by a seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from searchspaces import NasError

if TYPE_CHECKING:
    from torch import Tensor

Batch = tuple["Tensor", "Tensor"]  # (batch, channels, size, size) float32 normalised, (batch,) int64


@dataclass(frozen=True)
class Share:
    """Which images of a batch a process takes where several share each step: every `size`-th from `rank` on."""

    rank: int = 0
    size: int = 1

    def of(self, count: int) -> slice:
        """Return the places in a batch of `count` images; every process gets equally many."""
        return slice(self.rank, count // self.size * self.size, self.size)


ALL_IMAGES = Share()


class Split(Protocol):
    """Images with labels."""

    def __len__(self) -> int:
        """Return the number of images."""

    def train_batches(
        self, batch_size: int, seed: int, epoch: int, first: int = 0, share: Share = ALL_IMAGES
    ) -> Iterator[Batch]:
        """Yield augmented full batches in an order set by (seed, epoch); the incomplete last one is left out.

        Args:
            batch_size: images per process.
            first: number of the first batch; those before are not loaded.
            share: the part of each batch of ``batch_size * share.size`` images that is yielded.
        """

    def eval_batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield every image once, in fixed order, without augmentation."""


@dataclass(frozen=True)
class DataSplits:
    """A data set cut into training, validation and test images.

    Args:
        name: as given to `load_data`.
        classes: names of the classes in the order of the labels.
        in_channels: channels of the images.
        image_size: side of the images as given to the network, pixels.
        preprocessing: how evaluation turns a picture into numbers, as plain values; prediction does the same.
    """

    name: str
    classes: tuple[str, ...]
    in_channels: int
    image_size: int
    train: Split
    validation: Split
    test: Split
    preprocessing: Mapping[str, Any]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def summary(self) -> dict[str, Any]:
        """Return what tells this data set from another, as plain values for records."""
        sizes = {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}
        return {"name": self.name, "classes": list(self.classes), **sizes}


def epoch_order(size: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Return the indices of the full training batches of one epoch; a set smaller than a batch gives one batch.

    Batches have an even number of images, which timm's Mixup needs.

    Raises:
        NasError: for fewer than two images.
    """
    if size < 2:
        raise NasError(f"{size} training images are too few; a step takes at least two")
    order = np.random.default_rng((seed, epoch)).permutation(size)
    batch_size = min(batch_size, size) // 2 * 2
    return [order[i : i + batch_size] for i in range(0, size - batch_size + 1, batch_size)]


def stratified_cut(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sorted indices (kept, cut) with `share` of each class in `cut`, the same for the same seed.

    Raises:
        NasError: if there are too few images of a class to have some on both sides.
    """
    from sklearn.model_selection import train_test_split

    try:
        kept, cut = train_test_split(np.arange(len(labels)), test_size=share, random_state=seed, stratify=labels)
    except ValueError as error:
        raise NasError(
            f"{len(labels)} images cannot be cut {1 - share:.0%} to {share:.0%} by class: {error}"
        ) from error
    return np.sort(kept), np.sort(cut)

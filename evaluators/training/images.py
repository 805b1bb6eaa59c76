"""Image folders and every map-style data set that timm opens: ``folder``, ``torch/cifar10``, ``hfds/...``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from timm.data import create_transform
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from evaluators.training.image_sources import Source, open_sources
from evaluators.training.randomness import IMAGE, seed_all
from evaluators.training.recipe import Recipe
from evaluators.training.splits import ALL_IMAGES, Batch, DataSplits, Share, epoch_order, stratified_cut
from searchspaces import NasError

TEST_SHARE, VALIDATION_SHARE, MOST_VALIDATION_IMAGES = 0.2, 0.1, 10_000
LARGE_SIZE, SMALL_SIDE = 224, 64  # images below SMALL_SIDE keep their size, all others become LARGE_SIZE
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_MEAN, GREY_STD = (0.449,) * 3, (0.226,) * 3  # of ImageNet, all channels together

Transform = Callable[[Any], Tensor]


def load_images(name: str, data_dir: str | None, recipe: Recipe) -> DataSplits:
    """Return the splits of a timm data set.

    Without a test split the validation split is the test, and validation is cut from training; without either, both
    are cut from training. Cuts keep the shares of the classes and depend on `recipe.split_seed` only.

    Raises:
        NasError: an unknown name, a folder that is missing or empty, or classes that differ between the splits.
    """
    sources = open_sources(name, data_dir)
    train = sources.train
    picture = train.dataset[0][0]
    grey = picture.mode in ("1", "L", "I", "I;16", "F")
    size = recipe.image_size or (max(32, *picture.size) if max(picture.size) < SMALL_SIDE else LARGE_SIZE)
    transforms = _transforms(recipe, size, grey)
    rest = np.arange(len(train.labels))
    given = {"validation": sources.validation, "test": sources.test}
    if given["test"] is None:
        given = {"validation": None, "test": given["validation"]}
    splits = {}
    for split, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
        source = given[split]
        if source is not None:
            splits[split] = ImageSplit(source, np.arange(len(source.labels)), transforms, grey, recipe)
            continue
        share = min(share, MOST_VALIDATION_IMAGES / len(rest))
        kept, cut = stratified_cut(train.labels[rest], share, recipe.split_seed)
        splits[split] = ImageSplit(train, rest[cut], transforms, grey, recipe)
        rest = rest[kept]
    splits["train"] = ImageSplit(train, rest, transforms, grey, recipe)
    channels = 1 if grey else 3
    preprocessing = {
        "mean": list((GREY_MEAN if grey else IMAGENET_MEAN)[:channels]),
        "std": list((GREY_STD if grey else IMAGENET_STD)[:channels]),
        "interpolation": "bicubic",
        "crop": recipe.eval_crop,
    }
    return DataSplits(name, train.classes, channels, size, **splits, preprocessing=preprocessing)


def _transforms(recipe: Recipe, size: int, grey: bool) -> tuple[Transform, Transform]:
    """Return (training, evaluation) transforms from an RGB picture to a normalised (3, size, size) tensor."""
    common: dict[str, Any] = {
        "input_size": size,
        "interpolation": "bicubic",
        "mean": GREY_MEAN if grey else IMAGENET_MEAN,
        "std": GREY_STD if grey else IMAGENET_STD,
    }
    try:
        training = create_transform(
            **common,
            is_training=True,
            scale=(recipe.crop_scale, 1.0),
            hflip=recipe.hflip,
            color_jitter=0.0,
            auto_augment=recipe.auto_augment or None,
            re_prob=recipe.random_erasing,
            re_mode="pixel",
        )
    except (AssertionError, ValueError, KeyError, IndexError) as error:  # how timm refuses an augmentation string
        raise NasError(
            f"recipe.auto_augment={recipe.auto_augment!r} is no policy of timm; "
            "give one such as rand-m9-mstd0.5-inc1, or nothing"
        ) from error
    return training, create_transform(**common, crop_pct=recipe.eval_crop)


class ImageSplit:
    """Some pictures of a source, decoded when they are asked for.

    Args:
        indices: which of the source's pictures.
        transforms: (training, evaluation).
        grey: whether the network sees one channel; pictures are augmented in RGB, which some of timm's operations need.
    """

    def __init__(
        self,
        source: Source,
        indices: np.ndarray,
        transforms: tuple[Transform, Transform],
        grey: bool,
        recipe: Recipe,
    ) -> None:
        self.source, self.indices = source, indices
        self._transforms, self._grey, self._workers = transforms, grey, recipe.workers

    def __len__(self) -> int:
        return len(self.indices)

    def train_batches(
        self, batch_size: int, seed: int, epoch: int, first: int = 0, share: Share = ALL_IMAGES
    ) -> Iterator[Batch]:
        """Yield augmented full batches in an order set by (seed, epoch), the same for any workers and shares."""
        order = epoch_order(len(self), batch_size * share.size, seed, epoch)[first:]
        mine = [self.indices[batch[share.of(len(batch))]].tolist() for batch in order]
        yield from self._load(mine, self._transforms[0], (seed, epoch))

    def eval_batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield every image once, in fixed order."""
        order = [self.indices[start : start + batch_size].tolist() for start in range(0, len(self), batch_size)]
        yield from self._load(order, self._transforms[1], None)

    def _load(self, order: list[list[int]], transform: Transform, key: tuple[int, int] | None) -> Iterator[Batch]:
        pictures = _Pictures(self.source, transform, self._grey, key)
        pinned = torch.cuda.is_available()
        yield from DataLoader(pictures, batch_sampler=order, num_workers=self._workers, pin_memory=pinned)


class _Pictures(Dataset):
    """The transformed pictures of a source; with a key (seed, epoch) each is augmented by its own random numbers."""

    def __init__(self, source: Source, transform: Transform, grey: bool, key: tuple[int, int] | None) -> None:
        self._source, self._transform, self._grey, self._key = source, transform, grey, key

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if self._key is not None:
            seed_all(IMAGE, *self._key, int(index))
        picture, _ = self._source.dataset[int(index)]
        pixels = self._transform(picture.convert("RGB"))
        return (pixels[:1] if self._grey else pixels), int(self._source.labels[index])

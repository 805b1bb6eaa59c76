"""Opening the data sets timm knows, with its silent fallbacks turned into errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from timm.data import create_dataset

from searchspaces import NasError, unknown_name

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "eval"),
    "test": ("test", "testing"),
}
TORCH_NAMES = ("cifar10", "cifar100", "mnist", "kmnist", "fashion_mnist", "qmnist", "imagenet", "places365")
STREAMED = ("hfids", "tfds", "wds")


@dataclass(frozen=True)
class Source:
    """One split as it lies on the disk.

    Args:
        dataset: gives (PIL picture, label) by index.
        labels: (count,) int64.
        classes: names in the order of the labels.
    """

    dataset: Any
    labels: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Sources:
    """The splits a data set brings along."""

    train: Source
    validation: Source | None = None
    test: Source | None = None


def open_sources(name: str, data_dir: str | None) -> Sources:
    """Return the splits of a data set by timm's name; a plain word names a folder of pictures.

    Raises:
        NasError: an unknown name, a missing `data_dir`, or a data set that cannot be opened.
    """
    family, slash, rest = name.partition("/")
    family = family.lower() if slash else ""
    if family in STREAMED:
        raise NasError(f"data={name!r}: streamed data sets cannot be cut and resumed exactly; use hfds/ or a folder")
    if family == "hfds":
        return _huggingface(name, data_dir)
    if slash and family != "torch":
        raise unknown_name("data set", name, ("digits", "folder", *(f"torch/{known}" for known in TORCH_NAMES)))
    if family == "torch" and rest.lower() not in TORCH_NAMES:
        raise unknown_name("data set", name, [f"torch/{known}" for known in TORCH_NAMES])
    if data_dir is None:
        if family == "torch" or name == "folder":
            raise NasError(f"data={name!r} needs data_dir, the folder its files are in")
        known = unknown_name("data set", name, ("digits", "folder", *(f"torch/{known}" for known in TORCH_NAMES)))
        raise NasError(f"{known}; for your own pictures give data_dir as well")
    if not Path(data_dir).is_dir():
        raise NasError(f"data_dir={str(data_dir)!r} is not a folder")
    return _torchvision(rest.lower(), data_dir) if family == "torch" else _folder(Path(data_dir))


def _folder(root: Path) -> Sources:
    """Open ROOT/train/CLASS/*.jpg with optional validation and test beside it, or ROOT/CLASS/*.jpg."""
    found = {split: _subfolder(root, names) for split, names in SPLIT_FOLDERS.items()}
    if found["train"] is None:
        if any(found.values()):
            raise NasError(f"data_dir={str(root)!r} has splits but no folder 'train'")
        return Sources(_pictures(root, None))
    train = _pictures(found["train"], None)
    others = {split: _pictures(found[split], train.classes) for split in ("validation", "test") if found[split]}
    return Sources(train, **others)


def _subfolder(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _pictures(folder: Path | None, classes: tuple[str, ...] | None) -> Source:
    """Open FOLDER/CLASS/*.jpg; `classes` are those of the training split, which label numbers come from."""
    try:
        dataset = create_dataset("", str(folder), search_split=False)
    except RuntimeError as error:
        raise NasError(f"data_dir: {error}") from error
    own = dataset.reader.class_to_idx
    names = tuple(sorted(own, key=own.get))
    if len(names) < 2 and classes is None:
        raise NasError(f"data_dir={str(folder)!r} has pictures of {len(names)} class; give one subfolder per class")
    order = names if classes is None else classes
    if surplus := sorted(set(names) - set(order)):
        raise NasError(f"{folder} has the class {surplus[0]!r}, which the training pictures do not have")
    labels = [order.index(names[label]) for _, label in dataset.reader.samples]
    return Source(dataset, np.array(labels, dtype=np.int64), order)


def _torchvision(name: str, data_dir: str) -> Sources:
    """Open a data set of torchvision; those without a validation split give their test split as `test`."""
    try:
        train = create_dataset(f"torch/{name}", data_dir, split="train")
        held_out = create_dataset(f"torch/{name}", data_dir, split="validation")
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise NasError(
            f"data='torch/{name}' cannot be opened in data_dir={str(data_dir)!r}: {reason}; "
            "let torchvision's own class put the files there first"
        ) from error
    classes = _class_names(train.targets, getattr(train, "classes", None))
    labels = [
        np.asarray(dataset.targets, dtype=np.int64).reshape(len(dataset), -1)[:, 0] for dataset in (train, held_out)
    ]
    return Sources(Source(train, labels[0], classes), test=Source(held_out, labels[1], classes))


def _huggingface(name: str, data_dir: str | None) -> Sources:
    """Open a data set of the Hugging Face hub, or of its cache in `data_dir`."""
    found: dict[str, Source] = {}
    for split in SPLIT_FOLDERS:
        try:
            dataset = create_dataset(name, data_dir, split=split)
        except ImportError as error:
            raise NasError(f"data={name!r} needs the package datasets: pip install datasets") from error
        except Exception as error:  # the hub client raises dozens of types; without a training split there is no data
            if split == "train":
                raise NasError(f"data={name!r} cannot be opened: {str(error).splitlines()[0]}") from error
            continue
        column = dataset.reader.label_key
        labels = np.asarray(dataset.reader.dataset[column], dtype=np.int64)
        names = getattr(dataset.reader.dataset.features[column], "names", None)
        found[split] = Source(dataset, labels, _class_names(labels, names))
    return Sources(**found)


def _class_names(labels: Any, names: Any) -> tuple[str, ...]:
    """Return the names of the classes; the numbers of the labels where the data set has no names."""
    if names is None:
        return tuple(str(number) for number in range(int(np.max(labels)) + 1))
    return tuple(", ".join(name) if isinstance(name, tuple) else str(name) for name in names)

"""Measured networks as arrays, split by network or by family of networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware.fitted.features import INDEX, Vector

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Samples:
    """Passes that were timed.

    Args:
        columns: of the networks, shape (passes, len(COLUMNS)).
        batch_size: images in each pass, shape (passes,).
        pass_ms: time of each pass in milliseconds, shape (passes,), above 0.
        groups: the family of each network; passes of one network share theirs.
        whole: which are passes of whole networks, shape (passes,); errors are stated for these. None: all are.
    """

    columns: Vector
    batch_size: Vector
    pass_ms: Vector
    groups: tuple[str, ...]
    whole: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.pass_ms)

    @property
    def launches(self) -> Vector:
        """Kernels in each pass."""
        return self.columns[:, INDEX["launches"]]

    def take(self, chosen: Indices | NDArray[np.bool_]) -> Samples:
        """Return the chosen passes."""
        groups = tuple(np.array(self.groups, dtype=object)[chosen])
        whole = None if self.whole is None else self.whole[chosen]
        return Samples(self.columns[chosen], self.batch_size[chosen], self.pass_ms[chosen], groups, whole)

    def random_folds(self, folds: int, seed: int = 0) -> list[Indices]:
        """Return the passes in `folds` parts of nearly equal size, drawn at random."""
        return [np.sort(part) for part in np.array_split(np.random.default_rng(seed).permutation(len(self)), folds)]

    def family_folds(self, folds: int) -> list[Indices]:
        """Return the passes in at most `folds` parts that share no family, the largest families placed first."""
        families, sizes = np.unique(np.array(self.groups, dtype=str), return_counts=True)
        filled: list[list[str]] = [[] for _ in range(min(folds, len(families)))]
        load = np.zeros(len(filled))
        for index in np.argsort(-sizes, kind="stable"):
            least = int(load.argmin())
            filled[least].append(str(families[index]))
            load[least] += sizes[index]
        groups = np.array(self.groups, dtype=str)
        return [np.flatnonzero(np.isin(groups, part)) for part in filled]


def rest(samples: Samples, fold: Indices) -> Indices:
    """Return the passes outside a fold."""
    return np.setdiff1d(np.arange(len(samples)), fold)


def splits(samples: Samples, folds: Sequence[Indices]) -> Iterator[tuple[Indices, Indices]]:
    """Yield (fitted on, tested on) for each fold."""
    for fold in folds:
        yield rest(samples, fold), fold

"""Which architectures a training step takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from searchspaces import Architecture, Dimension, NasError, Value, get_space

ARCHITECTURES, MIXING, LOOKS = (
    101,
    102,
    103,
)  # what is drawn; keeps equal (seed, rank, epoch, step) of different uses apart


def step_rng(use: int, seed: int, rank: int, epoch: int, step: int) -> np.random.Generator:
    """Return the generator of one use in one step of one process; nothing else ever advances it."""
    return np.random.default_rng((use, seed, rank, epoch, step))


def open_count(total: int, epoch: int, warmup_epochs: int) -> int:
    """Return how many of `total` choices, largest first, are open in an epoch: min(K, 1 + floor(e (K - 1) / W)).

    >>> [open_count(4, epoch, 30) for epoch in (0, 9, 10, 20, 30)]
    [1, 1, 2, 3, 4]

    Args:
        epoch: from 0.
        warmup_epochs: W; with 0 everything is open at once.
    """
    if warmup_epochs == 0:
        return total
    return min(total, 1 + epoch * (total - 1) // warmup_epochs)


@dataclass(frozen=True)
class Elastic:
    """The decisions in which sub-networks of a super-network differ from it.

    Args:
        largest: the super-network's own architecture.
        entries: dimension name to choices, largest first. Yes-or-no decisions list each twice, as the authors do, so
            that "no" opens late and is drawn in a third, then a half of the cases.
    """

    largest: Architecture
    entries: Mapping[str, tuple[Value, ...]]

    @classmethod
    def of(cls, largest: Architecture, fits: Callable[[Architecture], bool]) -> Elastic:
        """Return the decisions below `largest` that `fits` accepts.

        A dimension whose smallest choice does not fit (the kernels of As-ViT) stays as it is in `largest`, and so do
        dimensions that are only set by scaling.
        """
        entries = {}
        for dimension in get_space(largest.space).active_dimensions(largest):
            choices = _up_to(dimension, largest.choices[dimension.name])
            if len(choices) > 1 and _fits(largest, dimension.name, choices[-1], fits):
                entries[dimension.name] = choices
        return cls(largest, entries)

    def open(self, epoch: int, warmup_epochs: int) -> dict[str, tuple[Value, ...]]:
        """Return the entries that are open in an epoch."""
        return {name: all_[: open_count(len(all_), epoch, warmup_epochs)] for name, all_ in self.entries.items()}

    def draw(self, count: int, rng: np.random.Generator, epoch: int, warmup_epochs: int) -> list[Architecture]:
        """Return `count` networks, every dimension drawn without replacement as far as its open choices go.

        Of K open choices ceil(count / K) copies are permuted and the first `count` taken (sheet section 5.1).
        """
        columns: dict[str, list[Value]] = {}
        for name, choices in self.open(epoch, warmup_epochs).items():
            copies = choices * math.ceil(count / len(choices))
            columns[name] = [copies[place] for place in rng.permutation(len(copies))[:count]]
        return [self._with({name: column[row] for name, column in columns.items()}) for row in range(count)]

    def smallest(self, epoch: int, warmup_epochs: int) -> Architecture:
        """Return the network with the smallest open choice everywhere."""
        return self._with({name: choices[-1] for name, choices in self.open(epoch, warmup_epochs).items()})

    def _with(self, choices: Mapping[str, Value]) -> Architecture:
        return self.largest.replace(choices=dict(choices), provenance={})


def _up_to(dimension: Dimension, largest: Value) -> tuple[Value, ...]:
    """Return the choices from `largest` down to the smallest; a yes-or-no decision has each twice."""
    choices = list(dimension.choices)
    below = choices[choices.index(largest) :: -1]
    return tuple(value for value in below for _ in range(2 if isinstance(value, bool) else 1))


def _fits(largest: Architecture, name: str, value: Value, fits: Callable[[Architecture], bool]) -> bool:
    try:
        return fits(largest.replace(choices={name: value}))
    except NasError:  # the space refuses the combination
        return False

"""Looks at a super-network in training: the accuracy of its largest, its smallest and some drawn networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluators.supernet.evaluation import CachedSplit, subnet_accuracy
from evaluators.supernet.recipe import SupernetRecipe
from evaluators.supernet.sampling import LOOKS, Elastic, step_rng
from evaluators.supernet.supernet import Supernet
from searchspaces import Architecture


@dataclass(frozen=True)
class Looks:
    """The networks that are looked at, always the same for one seed, and the images they are looked at with."""

    networks: tuple[Architecture, ...]
    images: CachedSplit
    batch_size: int
    precision: str

    @classmethod
    def of(cls, elastic: Elastic, recipe: SupernetRecipe, images: CachedSplit, precision: str) -> Looks:
        """Return the looks of a run."""
        drawn = elastic.draw(recipe.eval_networks, step_rng(LOOKS, recipe.seed, 0, 0, 0), 0, 0)
        return cls((elastic.largest, elastic.smallest(0, 0), *drawn), images, recipe.batch_size, precision)

    def accuracies(self, supernet: Supernet) -> dict[str, Any]:
        """Return the shares of correct images, in [0, 1], for the history."""
        batch = {"batch_size": self.batch_size, "precision": self.precision}
        largest, smallest, *drawn = subnet_accuracy(supernet, self.networks, self.images, **batch)  # type: ignore[arg-type]
        return {"accuracy_largest": largest, "accuracy_smallest": smallest, "accuracy_drawn": drawn}

    @staticmethod
    def mean(accuracies: dict[str, Any]) -> float:
        """Return the mean over the networks of what `accuracies` gave."""
        every = [accuracies["accuracy_largest"], accuracies["accuracy_smallest"], *accuracies["accuracy_drawn"]]
        return sum(every) / len(every)

"""Uniform random search, without repeats: the baseline every method must beat."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, Field

from evaluators.settings import Settings
from nas.problem import Problem
from nas.strategies.base import Strategy, register_strategy
from searchspaces import Architecture


class RandomSettings(Settings):
    """Options of random search."""

    batch: int = Field(default=16, ge=1, description="architectures per round")


@register_strategy("random")
class RandomSearch(Strategy):
    """Draws every decision uniformly; networks seen before are drawn again while the space has others."""

    Settings = RandomSettings

    def __init__(self, problem: Problem, settings: BaseModel | None = None, seed: int = 0) -> None:
        super().__init__(problem, settings, seed)
        self._rng = np.random.default_rng(seed)
        self._seen: set[Architecture] = set()

    @property
    def batch(self) -> int:
        """Architectures per round."""
        return int(self.settings.batch)

    def ask(self, n: int) -> list[Architecture]:
        """Return `n` new networks, or fewer where the space runs out."""
        drawn = (self.problem.draw_new(lambda: self.problem.sample(self._rng), self._seen) for _ in range(n))
        return [architecture for architecture in drawn if architecture is not None]

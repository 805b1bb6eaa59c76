"""Evolution over the whole history: ranked parents, mutation, crossover, no network twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, Field

from evaluators.settings import Settings
from nas.pareto import crowding, domination_ranks
from nas.problem import Problem
from nas.strategies.base import Strategy, register_strategy
from nas.strategies.shrinking import draw_shrunk, with_band
from nas.trial import Trial
from searchspaces import Architecture

SAME_PARENTS = 100  # children of the same parents, in a row, that may break a bound or be known already


class EvolutionSettings(Settings):
    """Options of evolution."""

    population: int = Field(default=48, ge=2, description="networks of the first generation, drawn uniformly")
    parents: int = Field(default=16, ge=2, description="networks that may have children: the best of the whole history")
    children: int = Field(default=24, ge=1, description="networks of every later generation")
    selection: Literal["top", "tournament"] = Field(
        default="top", description="how a child's parents are picked: uniformly of `parents`, or by tournament"
    )
    tournament_size: int = Field(default=4, ge=2, description="contestants of a tournament, drawn from all history")
    mutation_probability: float = Field(default=0.2, gt=0, le=1, description="odds of redrawing each decision")
    crossover_fraction: float = Field(default=0.5, ge=0, le=1, description="share of children of two parents")
    mutate_crossovers: bool = Field(default=True, description="whether children of two parents are mutated as well")
    band: float = Field(
        default=0.0, ge=0, le=1, description="every network uses at least this share of the first upper bound"
    )
    shrink: list[str] = Field(
        default=[],
        description="last words of the decisions that go down one choice at a time, from the largest, to bring a first "
        "network under the bound; empty: the first generation is drawn uniformly",
    )


@register_strategy("evolution")
class Evolution(Strategy):
    """One generation per round. Networks that fail or break a constraint rank behind all that meet it.

    With several objectives parents are ranked by front, then by crowding distance (NSGA-II, Deb et al. 2002).
    """

    Settings = EvolutionSettings

    def __init__(self, problem: Problem, settings: BaseModel | None = None, seed: int = 0) -> None:
        super().__init__(problem, settings, seed)
        if self.settings.band:
            self.problem = with_band(problem, self.settings.band)
        self._rng = np.random.default_rng(seed)
        self._seen: set[Architecture] = set()
        self._history: list[Trial] = []
        self._ranked: list[Trial] = []

    @property
    def batch(self) -> int:
        """The first generation whole, then one generation of children."""
        return int(self.settings.children if self._history else self.settings.population)

    def ask(self, n: int) -> list[Architecture]:
        """Return up to `n` new networks: drawn uniformly at first, children of ranked parents afterwards."""
        found: list[Architecture] = []
        for index in range(n):
            crossed = index < round(self.settings.crossover_fraction * n)
            propose = self._children(crossed) if self._ranked else self._first
            architecture = self.problem.draw_new(propose, self._seen)
            if architecture is None:  # the neighbourhood of the parents is used up: fresh blood
                architecture = self.problem.draw_new(self._first, self._seen)
            if architecture is None:
                break
            found.append(architecture)
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        """Add the trials to the history and rank it anew."""
        self._history.extend(trials)
        self._ranked = rank(self.problem, self._history)

    def _first(self) -> Architecture:
        if self.settings.shrink:
            return draw_shrunk(self.problem, self._rng, self.settings.band, self.settings.shrink)
        return self.problem.sample(self._rng)

    def _children(self, crossed: bool) -> Callable[[], Architecture]:
        """Return a source of children of the same parents; other parents after `SAME_PARENTS` that were refused."""
        space, settings = self.problem.space, self.settings
        tries, parents = 0, (self._parent(), self._parent())

        def child() -> Architecture:
            nonlocal tries, parents
            tries += 1
            if tries % SAME_PARENTS == 0:
                parents = (self._parent(), self._parent())
            born = space.crossover(*parents, self._rng) if crossed else parents[0]
            if crossed and not settings.mutate_crossovers:
                return born
            return space.mutate(born, self._rng, settings.mutation_probability)

        return child

    def _parent(self) -> Architecture:
        if self.settings.selection == "top":
            return self._ranked[self._rng.integers(min(self.settings.parents, len(self._ranked)))].architecture
        contestants = self._rng.integers(len(self._ranked), size=self.settings.tournament_size)
        return self._ranked[contestants.min()].architecture


def rank(problem: Problem, trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that have values, best first: by violation, front, crowding, then age."""
    usable = [trial for trial in trials if trial.failure is None]
    scores = [problem.scores(trial) or () for trial in usable]
    if len(problem.objectives) == 1:
        order = [(problem.total_violation(t), -s[0]) for t, s in zip(usable, scores, strict=True)]
        return [usable[i] for i in sorted(range(len(usable)), key=lambda i: (order[i], i))]
    fronts = domination_ranks(scores)
    distance = [0.0] * len(usable)
    for number in set(fronts):
        members = [i for i, f in enumerate(fronts) if f == number]
        for i, value in zip(members, crowding([scores[i] for i in members]), strict=True):
            distance[i] = value
    keys = [(problem.total_violation(t), fronts[i], -distance[i]) for i, t in enumerate(usable)]
    return [usable[i] for i in sorted(range(len(usable)), key=lambda i: (keys[i], i))]

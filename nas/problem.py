"""What a search is asked to find, and which networks are allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluators import MetricFailure
from nas.expressions import Constraint, Objective
from nas.pareto import best_index, front, hypervolume
from nas.trial import Trial
from searchspaces import Architecture, NasError, SearchSpace

MAX_TRIES = 2000  # draws before a constraint counts as one that nobody can meet
MAX_REPEATS = 2000  # networks seen before, drawn in a row, before the space counts as exhausted


@dataclass(frozen=True)
class Hypervolume:
    """How good a Pareto front is, in one number.

    Args:
        share: of the box between the worst and the best value of each objective that the front dominates, 0 to 1.
        alone: number of each trial of the front to the share that only it dominates.
        worst: objective to its worst feasible value, the corner the share is measured from.
    """

    share: float
    alone: Mapping[int, float]
    worst: Mapping[str, float]


@dataclass(frozen=True)
class Problem:
    """What a strategy searches: a space, the sizes of its networks, objectives and constraints.

    Args:
        sizes: `image_size`, `in_channels`, `num_classes` of every network.
        static_value: metric name and architecture to the exact value of a metric that costs next to nothing;
            constraints on such metrics are checked before anything is evaluated.
        static_metrics: the metrics `static_value` knows.
        growing_metrics: those of them that the smallest network of the space has the smallest value of.
    """

    space: SearchSpace
    sizes: Mapping[str, int]
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint] = ()
    static_metrics: frozenset[str] = frozenset()
    static_value: Callable[[str, Architecture], float] | None = None
    max_tries: int = MAX_TRIES
    growing_metrics: frozenset[str] = frozenset()

    def require_reachable(self) -> None:
        """Check that the smallest network of the space meets every upper bound on a growing static metric.

        Raises:
            NasError: if it does not, with the value it has.
        """
        for constraint, value in self.violations(self.space.smallest(**self.sizes)).items():
            if constraint.comparison == "<=" and constraint.metric in self.growing_metrics:
                raise NasError(
                    f"constraint={str(constraint)!r} can be met by none of {self.space.name}: its smallest network has "
                    f"{constraint.metric}={value:g}"
                )

    def violations(self, architecture: Architecture) -> dict[Constraint, float]:
        """Return the value of each static constraint that the architecture breaks."""
        broken = {}
        for constraint in self.constraints:
            if constraint.metric in self.static_metrics:
                value = self.bounded_value(constraint, architecture)
                if not constraint.holds(value):
                    broken[constraint] = value
        return broken

    def bounded_value(self, constraint: Constraint, architecture: Architecture) -> float:
        """Return the value of a static metric; where there is none, an infinite one that breaks the constraint."""
        assert self.static_value is not None
        try:
            return self.static_value(constraint.metric, architecture)
        except MetricFailure:
            return math.inf if constraint.comparison == "<=" else -math.inf

    def draw(self, propose: Callable[[], Architecture]) -> Architecture:
        """Return the first proposal that meets the static constraints.

        Raises:
            NasError: after `max_tries` proposals, with the closest value seen for the constraint that failed most.
        """
        failures: dict[Constraint, int] = {}
        closest: dict[Constraint, float] = {}
        for _ in range(self.max_tries):
            architecture = propose()
            broken = self.violations(architecture)
            if not broken:
                return architecture
            for constraint, value in broken.items():
                failures[constraint] = failures.get(constraint, 0) + 1
                best = closest.setdefault(constraint, value)
                if constraint.violation(value) < constraint.violation(best):
                    closest[constraint] = value
        worst = max(failures, key=lambda constraint: failures[constraint])
        missed = f"constraint={str(worst)!r} was met by none of {self.max_tries} networks drawn from {self.space.name}"
        if math.isinf(closest[worst]):
            raise NasError(f"{missed}; none has a value, for one: {self._why_none(worst.metric, architecture)}")
        raise NasError(f"{missed}; the closest had {worst.metric}={closest[worst]:g}: give a bound the space can reach")

    def _why_none(self, metric: str, architecture: Architecture) -> str:
        assert self.static_value is not None
        try:
            self.static_value(metric, architecture)
        except MetricFailure as failure:
            return str(failure)
        return "others had none"

    def draw_new(self, propose: Callable[[], Architecture], seen: set[Architecture]) -> Architecture | None:
        """Return a feasible proposal that is not in `seen`, and add it there; None when only repeats come."""
        for _ in range(MAX_REPEATS):
            architecture = self.draw(propose)
            if architecture not in seen:
                seen.add(architecture)
                return architecture
        return None

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a network drawn uniformly, without regard to constraints."""
        return self.space.sample(rng, **self.sizes)

    def scores(self, trial: Trial) -> tuple[float, ...] | None:
        """Return the objectives with their sign, larger is better; None for a failed trial."""
        if trial.failure is not None:
            return None
        return tuple(objective.sign * trial.value(objective.metric) for objective in self.objectives)

    def total_violation(self, trial: Trial) -> float:
        """Return the sum of relative misses over all constraints; 0 when every one holds."""
        total = 0.0
        for constraint in self.constraints:
            miss = constraint.violation(trial.value(constraint.metric))
            total += max(0.0, miss) / (abs(constraint.bound) or 1.0)
        return total

    def feasible(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that have every objective and meet every constraint, in order."""
        return [t for t in trials if t.failure is None and self.total_violation(t) == 0.0]

    def front(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the Pareto front of the feasible trials, each network once, best by the first objective first.

        With one objective it is the first of the best trials alone.
        """
        candidates = list({trial.architecture: trial for trial in reversed(self.feasible(trials))}.values())[::-1]
        scores = [self.scores(trial) or () for trial in candidates]
        order = sorted(front(scores), key=lambda index: [-score for score in scores[index]])
        best = [candidates[index] for index in order]
        return best[:1] if len(self.objectives) == 1 else best

    def hypervolume(self, trials: Sequence[Trial]) -> Hypervolume | None:
        """Return how much of the box of the feasible trials the front dominates; None with less than two objectives.

        The box lies between the worst and the best value of each objective, so the share belongs to one run.
        """
        candidates = self.feasible(trials)
        if len(self.objectives) < 2 or not candidates:
            return None
        points = np.asarray([self.scores(trial) for trial in candidates])
        low, span = points.min(axis=0), np.ptp(points, axis=0)
        members = self.front(trials)
        scaled = [tuple((np.asarray(self.scores(t)) - low) / np.where(span > 0, span, 1.0)) for t in members]
        corner = (0.0,) * len(self.objectives)
        total = hypervolume(scaled, corner)
        alone = {
            trial.number: total - hypervolume(scaled[:i] + scaled[i + 1 :], corner) for i, trial in enumerate(members)
        }
        worst = {o.metric: float(o.sign * value) for o, value in zip(self.objectives, low, strict=True)}
        return Hypervolume(total, alone, worst)

    def leader(self, leader: Trial | None, trial: Trial) -> Trial | None:
        """Return the better of the leader so far and a new trial, by the first objective; for showing progress."""
        if not self.feasible([trial]):
            return leader
        first = self.objectives[0]
        if leader is None or first.sign * trial.value(first.metric) > first.sign * leader.value(first.metric):
            return trial
        return leader

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """Return the trial to take when one must be taken, the most balanced of the front; None without any."""
        candidates = self.front(trials)
        if not candidates:
            return None
        return candidates[best_index([self.scores(trial) or () for trial in candidates])]

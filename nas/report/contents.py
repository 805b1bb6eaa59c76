"""Everything the report says about a run, read from its directory as plain data; works for unfinished runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.expressions import Objective
from nas.problem import Problem
from nas.report.importance import importances
from nas.trial import Trial
from searchspaces import Architecture, NasError

if TYPE_CHECKING:
    from nas.config import SearchConfig
    from nas.rundir import RunDirectory

TOP = 10  # networks in the table of a single-objective search


@dataclass(frozen=True)
class Contents:
    """A run, read once.

    Args:
        versions: package to version the run began with.
        config_text: the resolved configuration as written.
        search, scale: the trials of both phases in order.
        problem, scale_problem: what each phase looks for; the second is None without scaling.
        seed: the winner of the search, if any network met every constraint.
        front: the Pareto front of the search, best first; with one objective the best `TOP` networks.
        family: the accepted steps of the scaling, as far as the run has written them.
        has_best: whether ``best.json`` is there.
    """

    path: Path
    config: SearchConfig
    versions: dict[str, str]
    config_text: str
    search: list[Trial]
    scale: list[Trial]
    problem: Problem
    scale_problem: Problem | None
    seed: Trial | None
    front: list[Trial]
    family: list[Trial]
    has_best: bool

    @property
    def winner(self) -> Trial | None:
        """The network to use: the last of the family, or the winner of the search."""
        return self.family[-1] if self.family else self.seed

    @cached_property
    def importances(self) -> list[tuple[Objective, dict[str, float] | str]]:
        """Per objective the importance of each decision, or why there is none."""
        problem = self.problem
        return [(o, importances(problem.space, self.search, o)) for o in problem.objectives]

    @property
    def trials(self) -> list[Trial]:
        """Every trial in the order it was made."""
        return [*self.search, *self.scale]

    @property
    def failures(self) -> Counter[str]:
        """Reason to number of trials."""
        return Counter(trial.failure for trial in self.trials if trial.failure is not None)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the run, pauses between its parts left out."""
        return max((elapsed(trial) for trial in self.trials), default=0.0)

    @property
    def searched(self) -> int:
        """Networks the strategy asked for; its closing proposal is extra."""
        return sum(not trial.attributes.get("proposal") for trial in self.search)

    def exact(self, metric: str) -> bool:
        """Whether a metric is counted on the real network also while scaling; others are measured on a narrow proxy."""
        return self.config.make_metric(metric).static

    @property
    def cpu_seconds(self) -> dict[str, float]:
        """Metric to CPU seconds spent on it; a network that came again was looked up, so it counts once."""
        spent: dict[str, float] = {}
        for trials in (self.search, self.scale):
            for trial in {trial.architecture: trial for trial in reversed(trials)}.values():
                for name, measurement in trial.measurements.items():
                    spent[name] = spent.get(name, 0.0) + measurement.seconds
        return spent


def read_contents(run: RunDirectory) -> Contents:
    """Read a run directory; nothing in it is changed.

    Raises:
        NasError: if a file in it cannot be read.
    """
    import yaml

    config = run.config
    try:
        text = (run.path / "config.yaml").read_text(encoding="utf-8")
    except OSError as error:
        raise NasError(f"{run.path / 'config.yaml'}: cannot be read: {error.strerror}") from error
    versions: Any = yaml.safe_load(text).get("versions")
    search = run.journal.read("search")
    scale = run.journal.read("scale") if config.scales else []
    problem = config.problem("search")
    proposals = problem.feasible([trial for trial in search if trial.attributes.get("proposal")])
    return Contents(
        path=run.path,
        config=config,
        versions={str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else {},
        config_text=text,
        search=search,
        scale=scale,
        problem=problem,
        scale_problem=config.problem("scale") if config.scales else None,
        seed=proposals[-1] if proposals else problem.best(search),
        front=_best_networks(problem, search),
        family=_accepted(run.path / "family", scale),
        has_best=(run.path / "best.json").is_file(),
    )


def elapsed(trial: Trial) -> float:
    """Return the wall-clock seconds of the run when the trial was done."""
    return float(trial.attributes.get("elapsed", 0.0))


def proxy_width(trial: Trial) -> int | None:
    """Return the width of the narrow network that was measured in place of this one, or None."""
    width = trial.attributes.get("proxy_width")
    return width if isinstance(width, int) else None


def _best_networks(problem: Problem, trials: list[Trial]) -> list[Trial]:
    """Return the front in the order of the first objective; with one objective the best few, each network once."""
    first = problem.objectives[0]
    if len(problem.objectives) > 1:
        chosen = problem.front(trials)
    else:
        chosen = list({trial.architecture: trial for trial in reversed(problem.feasible(trials))}.values())[::-1]
    ordered = sorted(chosen, key=lambda trial: -first.sign * trial.value(first.metric))
    return ordered if len(problem.objectives) > 1 else ordered[:TOP]


def _accepted(folder: Path, scale: list[Trial]) -> list[Trial]:
    """Return the scale trials that ``family/`` names; a run writes the folder when it ends."""
    by_architecture = {trial.architecture: trial for trial in reversed(scale)}
    found = [by_architecture.get(Architecture.read(file)) for file in sorted(folder.glob("step-*.json"))]
    return [trial for trial in found if trial is not None]

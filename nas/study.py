"""The study loop: ask, evaluate, journal, tell; then scale the winner. Resuming is running it again over a journal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from nas.config import SearchConfig
from nas.evaluation import Evaluator
from nas.executors import Executor
from nas.expressions import parse_constraint
from nas.problem import Problem
from nas.rundir import RunDirectory
from nas.scaling.growth import Candidate, Growth
from nas.strategies import make_strategy
from nas.trial import Phase, Trial
from searchspaces import NasError

# While a search is followed by scaling it leaves this share of the budget to it.
_SCALING_SHARE = 0.3


class Observer:
    """Is told what happens; the command line shows it. This one shows nothing."""

    def began(self, phase: Phase, total: int | None) -> None:
        """A phase begins; `total` trials are planned, None if that is open."""

    def trial(self, trial: Trial, best: Trial | None, replayed: bool) -> None:
        """A trial is in the journal; `replayed` if it was there before."""


@dataclass
class Outcome:
    """What a study found.

    Args:
        winner: the network to use: the last of the family, or the winner of the search where nothing was scaled.
        seed: the winner of the search.
        front: the Pareto front of the search; one trial for one objective.
        family: the accepted steps of the scaling, in order.
        stopped: why it ended early, or None.
    """

    winner: Trial
    seed: Trial
    front: list[Trial]
    family: list[Trial] = field(default_factory=list)
    stopped: str | None = None


class Study:
    """One search in one run directory.

    Every decision follows from the seed and the trials told so far. A run that was killed is continued by asking
    the same questions again, answering those the journal knows from the journal.
    """

    def __init__(self, run: RunDirectory, executor: Executor, observer: Observer | None = None) -> None:
        self.run_directory = run
        self.config: SearchConfig = run.config
        self.executor = executor
        self.observer = observer or Observer()
        self.trials: list[Trial] = []
        self.scaled: list[Trial] = []
        self.family: list[Trial] = []
        self._proposal: Trial | None = None
        self._recorded = {phase: run.journal.read(phase) for phase in self._phases()}
        everything = [trial for trials in self._recorded.values() for trial in trials]
        self._spent_before = max((float(t.attributes["elapsed"]) for t in everything), default=0.0)
        self._started = time.monotonic()

    def run(self) -> Outcome:
        """Search, scale, write the results; return them.

        Raises:
            NasError: if no network met every constraint.
            KeyboardInterrupt: if it was interrupted before there was any network to return.
        """
        stopped = None
        try:
            self._search()
            if self.config.scales and not self._out_of_time():
                self._scale()
        except KeyboardInterrupt:
            if self.config.problem("search").best(self.trials) is None:
                raise
            stopped = "interrupted"
        if stopped is None and self._out_of_time():
            stopped = f"the budget of {self.config.budget} is spent"
        outcome = self.outcome(stopped)
        self._write(outcome)
        return outcome

    def outcome(self, stopped: str | None = None) -> Outcome:
        """Return what was found so far.

        Raises:
            NasError: if nothing was, with the reason.
        """
        problem = self.config.problem("search")
        seed = self._proposal or problem.best(self.trials)
        if seed is None:
            raise NasError(_nothing_found(problem, self.trials))
        winner = self.family[-1] if self.family else seed
        return Outcome(winner, seed, problem.front(self.trials), list(self.family), stopped)

    def _phases(self) -> list[Phase]:
        return ["search", "scale"] if self.config.scales else ["search"]

    def _search(self) -> None:
        config = self.config
        problem = config.problem("search")
        problem.require_reachable()
        strategy = make_strategy(config.strategy, problem, config.strategy_options, config.seed)
        known = {trial.architecture: trial.measurements for trial in self._recorded["search"]}
        evaluator = Evaluator(config.make_metrics(), self.executor, known)
        leader: Trial | None = None
        self.observer.began("search", config.trials)
        while not self._out_of_time("search"):
            left = strategy.batch if config.trials is None else min(strategy.batch, config.trials - len(self.trials))
            batch = strategy.ask(left) if left > 0 else []
            if not batch:
                break
            first = len(self.trials)
            for architecture, measurements in zip(batch, evaluator.evaluate(batch), strict=True):
                trial = Trial(len(self.trials), "search", architecture, measurements, self._stamp())
                self.trials.append(self._record(trial))
                leader = problem.leader(leader, self.trials[-1])
                self.observer.trial(self.trials[-1], leader, self._is_replay(trial))
                if self._out_of_time("search"):
                    break
            strategy.tell(self.trials[first:])
        proposal = strategy.proposal()
        if proposal is not None and self.trials:
            measurements = next(evaluator.evaluate([proposal]))
            stamp = {**self._stamp(), "proposal": True}
            trial = self._record(Trial(len(self.trials), "search", proposal, measurements, stamp))
            self.trials.append(trial)
            if problem.feasible([trial]):
                self._proposal = trial

    def _scale(self) -> None:
        config, settings = self.config, self.config.scaling_settings
        problem = config.problem("scale")
        bound = parse_constraint(str(config.scale_to), "scale_to")
        stop = parse_constraint(settings.stop_at, "scaling.stop_at") if settings.stop_at else None
        static = {name: metric for name, metric in config.make_metrics().items() if metric.static}
        value = problem.bounded_value
        growth = Growth(
            self.outcome().seed.architecture,
            settings,
            [objective.direction for objective in problem.objectives],
            fits=lambda a: bound.holds(value(bound, a)) and not problem.violations(a),
            reached=lambda a: stop is not None and stop.holds(value(stop, a)),
        )
        measures = {name: config.make_metric(name) for name in settings.measures}
        known = {
            trial.architecture.replace(choices={"width": trial.attributes["proxy_width"]}): {
                name: trial.measurements[name] for name in measures
            }
            for trial in self._recorded["scale"]
        }
        evaluator = Evaluator(measures, self.executor, known)
        reporter = Evaluator(static, self.executor)
        self.observer.began("scale", None)
        while candidates := growth.candidates():
            trials = self._measure_step(growth.steps + 1, candidates, evaluator, reporter)
            if len(trials) < len(candidates):
                return
            scored = [None if t.failure else [t.value(name) for name in measures] for t in trials]
            accepted = growth.accept(candidates, scored)
            if accepted is not None:
                self.family.append(trials[candidates.index(accepted)])

    def _measure_step(
        self, step: int, candidates: Sequence[Candidate], evaluator: Evaluator, reporter: Evaluator
    ) -> list[Trial]:
        """Measure every candidate of one step; fewer trials come back when the time is up."""
        trials: list[Trial] = []
        measured = evaluator.evaluate([candidate.proxy for candidate in candidates])
        for candidate, measurements in zip(candidates, measured, strict=True):
            both = {**measurements, **next(reporter.evaluate([candidate.network]))}
            stamp = {**self._stamp(), "step": step, "stage": candidate.stage, "proxy_width": candidate.proxy_width}
            trial = Trial(len(self.scaled), "scale", candidate.network, both, stamp)
            trials.append(self._record(trial))
            self.scaled.append(trials[-1])
            best = self.family[-1] if self.family else None
            self.observer.trial(trials[-1], best, self._is_replay(trial))
            if self._out_of_time():
                break
        return trials

    def _record(self, trial: Trial) -> Trial:
        """Append a new trial to the journal, or return the one that is there already."""
        if not self._is_replay(trial):
            self.run_directory.journal.append(trial)
            return trial
        there = self._recorded[trial.phase][trial.number]
        if there.architecture != trial.architecture:
            raise NasError(
                f"{self.run_directory.path}: {trial.phase} trial {trial.number} in the journal is not the network this "
                "version asks for; the run belongs to other versions: start a new one"
            )
        return there

    def _is_replay(self, trial: Trial) -> bool:
        return trial.number < len(self._recorded[trial.phase])

    def _stamp(self) -> dict[str, float]:
        return {"elapsed": round(self._elapsed(), 3)}

    def _elapsed(self) -> float:
        """Wall-clock seconds of the run so far, those before a resume included."""
        return self._spent_before + time.monotonic() - self._started

    def _out_of_time(self, phase: Phase = "scale") -> bool:
        budget = self.config.budget_seconds
        if budget is None:
            return False
        share = 1.0 - _SCALING_SHARE if phase == "search" and self.config.scales else 1.0
        return self._elapsed() >= budget * share and bool(self.trials)

    def _write(self, outcome: Outcome) -> None:
        run = self.run_directory
        run.write("best.json", outcome.winner)
        run.write_front(outcome.front)
        if outcome.family:
            run.write("seed.json", outcome.seed)
            run.write_family(outcome.family)


def _nothing_found(problem: Problem, trials: Sequence[Trial]) -> str:
    """Put into words why no trial can be taken."""
    measured = [trial for trial in trials if trial.failure is None]
    if not trials:
        return "the search ended before the first network was measured"
    if not measured:
        return f"none of the {len(trials)} networks could be measured; the first failed with: {trials[0].failure}"
    closest = min(measured, key=problem.total_violation)
    for constraint in problem.constraints:
        value = closest.value(constraint.metric)
        if not constraint.holds(value):
            return (
                f"constraint={str(constraint)!r} was met by none of {len(trials)} networks; the closest had "
                f"{constraint.metric}={value:g}: give a bound the space can reach, or more trials"
            )
    return "no network met every constraint"

"""Optuna's own samplers as strategies: ``optuna:tpe``, ``nsga2``, ``gp``, ``cmaes`` and ``random``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from pydantic import BaseModel, Field

from evaluators.settings import Settings
from nas.problem import Problem
from nas.strategies.base import Strategy, register_strategy
from nas.trial import Trial
from searchspaces import Architecture, NasError, Value

if TYPE_CHECKING:
    import optuna


class OptunaSettings(Settings):
    """Options of the samplers of Optuna."""

    batch: int = Field(default=8, ge=1, description="networks asked before their values are told")
    sampler: dict[str, Any] = Field(default={}, description="keyword arguments of the Optuna sampler itself")


class OptunaStrategy(Strategy):
    """Asks an in-memory Optuna study; the journal of the run is written by the study loop.

    Decisions of numbers are told to the sampler by their place in the list where `ordered` is set, because GP and
    CMA-ES know only numbers; the others are categories.
    """

    Settings = OptunaSettings
    sampler_name: ClassVar[str]
    ordered: ClassVar[bool] = False
    constant_liar: ClassVar[bool] = False
    tries: ClassVar[int] = 50

    def __init__(self, problem: Problem, settings: BaseModel | None = None, seed: int = 0) -> None:
        import optuna

        super().__init__(problem, settings, seed)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        options = {"seed": seed, **({"constant_liar": True} if self.constant_liar else {}), **self.settings.sampler}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental arguments
            try:
                sampler = getattr(optuna.samplers, self.sampler_name)(**options)
            except (TypeError, ValueError) as error:
                raise NasError(
                    f"sampler={self.settings.sampler!r} is not taken by {self.sampler_name}: {error}"
                ) from error
        directions = [objective.direction for objective in problem.objectives]
        self._study = optuna.create_study(directions=directions, sampler=sampler)
        self._asked: list[optuna.Trial] = []
        self._rng = np.random.default_rng(seed)

    @property
    def batch(self) -> int:
        """Networks asked before their values are told."""
        return int(self.settings.batch)

    def ask(self, n: int) -> list[Architecture]:
        """Return `n` networks of the sampler that meet the static constraints.

        A proposal that breaks one is told as failed. Samplers learn nothing from that, so after `tries` of them a
        network drawn uniformly from the feasible ones is given to the sampler instead.
        """
        self._asked = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # samplers warn of every decision they draw independently
            return [self._ask_one() for _ in range(n)]

    def _ask_one(self) -> Architecture:
        import optuna

        for _ in range(self.tries):
            trial = self._study.ask()
            architecture = self._suggest(trial)
            if not self.problem.violations(architecture):
                self._asked.append(trial)
                return architecture
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        drawn = self.problem.draw(lambda: self.problem.sample(self._rng))
        values = {d.name: d.choices for d in self.problem.space.active_dimensions(drawn)}
        places = {name: list(choices).index(drawn.choices[name]) for name, choices in values.items()}
        self._study.enqueue_trial({n: p if self._by_place(values[n]) else drawn.choices[n] for n, p in places.items()})
        self._asked.append(self._study.ask())
        return self._suggest(self._asked[-1])

    def _by_place(self, choices: Sequence[Value]) -> bool:
        """Whether the sampler sees the places of these choices rather than the choices."""
        return self.ordered and len(choices) > 1 and all(isinstance(value, int | float) for value in choices)

    def _suggest(self, trial: optuna.Trial) -> Architecture:
        choices: dict[str, Value] = {}
        for dimension in self.problem.space.searched:
            if not dimension.is_active(choices):
                continue
            values = list(dimension.choices)
            if self._by_place(values):
                choices[dimension.name] = values[trial.suggest_int(dimension.name, 0, len(values) - 1)]
            else:
                choices[dimension.name] = cast(Value, trial.suggest_categorical(dimension.name, values))
        return self.problem.space.architecture(choices, **self.problem.sizes)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell the sampler the objectives, and by how much each constraint is missed."""
        import optuna

        for asked, trial in zip(self._asked, trials, strict=False):
            if trial.failure is not None:
                self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
                continue
            for constraint in self.problem.constraints:
                asked.set_constraint(str(constraint), constraint.violation(trial.value(constraint.metric)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._study.tell(asked, [trial.value(o.metric) for o in self.problem.objectives])


@register_strategy("optuna:tpe")
class Tpe(OptunaStrategy):
    """Tree-structured Parzen estimator."""

    sampler_name = "TPESampler"
    constant_liar = True


@register_strategy("optuna:nsga2")
class Nsga2(OptunaStrategy):
    """NSGA-II; its generation is `sampler: {population_size: N}`."""

    sampler_name = "NSGAIISampler"


class GaussianProcessSettings(OptunaSettings):
    """Options of the Gaussian process."""

    batch: int = Field(default=1, ge=1, description="more than one makes every proposal several times as slow")


@register_strategy("optuna:gp")
class GaussianProcess(OptunaStrategy):
    """Gaussian-process Bayesian optimisation; each proposal takes a tenth of a second to seconds."""

    Settings = GaussianProcessSettings
    sampler_name = "GPSampler"
    ordered = True
    tries = 3


@register_strategy("optuna:cmaes")
class CmaEs(OptunaStrategy):
    """CMA-ES over the places of the choices; for one objective."""

    sampler_name = "CmaEsSampler"
    ordered = True

    def __init__(self, problem: Problem, settings: BaseModel | None = None, seed: int = 0) -> None:
        if len(problem.objectives) > 1:
            raise NasError("strategy='optuna:cmaes' takes one objective; use optuna:nsga2, optuna:tpe or evolution")
        super().__init__(problem, settings, seed)


@register_strategy("optuna:random")
class OptunaRandom(OptunaStrategy):
    """Optuna's independent random sampler."""

    sampler_name = "RandomSampler"

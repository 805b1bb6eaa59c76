"""The journal of trials: an Optuna journal that only grows, and that Optuna's own tools open."""

from __future__ import annotations

import fcntl
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators import Measurement
from nas.problem import Problem
from nas.trial import Phase, Trial
from searchspaces import NasError

if TYPE_CHECKING:
    import optuna


class Journal:
    """Finished trials, each written whole or not at all, in the order they were asked for.

    The file holds one Optuna study per phase, ``search`` and ``scale``. Readers pass over a last line that is not
    whole yet; whoever is to append calls `mend` first.

    Args:
        path: the file; created if it does not exist.
        problems: per phase what is searched; gives trials their space, and studies their directions.
    """

    def __init__(self, path: Path, problems: Mapping[Phase, Problem]) -> None:
        self.path = path
        self._problems = problems
        self._studies: dict[str, optuna.Study] = {}
        with _disk_errors(path):
            self._storage = _open_storage(path)

    def read(self, phase: Phase) -> list[Trial]:
        """Return every trial of a phase."""
        import optuna

        if phase not in optuna.get_all_study_names(self._storage):
            return []
        frozen = self._study(phase).get_trials(deepcopy=False)
        return [_thaw(trial, phase, self._problems[phase]) for trial in frozen]

    def append(self, trial: Trial) -> None:
        """Write one trial and flush it to the disk.

        Raises:
            NasError: if the disk is full or gone; every trial before this one is kept.
        """
        with _disk_errors(self.path):
            self._study(trial.phase).add_trial(_freeze(trial, self._problems[trial.phase]))

    def _study(self, phase: Phase) -> optuna.Study:
        import optuna

        if phase not in self._studies:
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            if phase in optuna.get_all_study_names(self._storage):
                self._studies[phase] = optuna.load_study(storage=self._storage, study_name=phase)
            else:
                self._studies[phase] = self._create(phase)
        return self._studies[phase]

    def _create(self, phase: Phase) -> optuna.Study:
        import optuna

        objectives = self._problems[phase].objectives
        directions = [objective.direction for objective in objectives]
        study = optuna.create_study(storage=self._storage, study_name=phase, directions=directions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # set_metric_names is marked experimental
            study.set_metric_names([objective.metric for objective in objectives])
        return study


def _freeze(trial: Trial, problem: Problem) -> optuna.trial.FrozenTrial:
    """Return the trial as Optuna keeps it: parameters, values, constraints, and the rest as user attributes."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

    distributions: dict[str, BaseDistribution] = {}
    for dimension in problem.space.dimensions:
        if dimension.name in trial.architecture.choices:
            choices = dimension.choices
            if isinstance(choices, range):
                distributions[dimension.name] = IntDistribution(choices[0], choices[-1])
            else:
                distributions[dimension.name] = CategoricalDistribution(list(choices))
    measured = {name: _plain(measurement) for name, measurement in trial.measurements.items()}
    state, values, constraints = optuna.trial.TrialState.FAIL, None, None
    if trial.failure is None:
        state = optuna.trial.TrialState.COMPLETE
        values = [trial.value(objective.metric) for objective in problem.objectives]
        constraints = {str(c): c.violation(trial.value(c.metric)) for c in problem.constraints}
    return optuna.trial.create_trial(
        state=state,
        values=values,
        params=dict(trial.architecture.choices),
        distributions=distributions,
        user_attrs={"measurements": measured, **trial.attributes},
        constraints=constraints or None,
    )


def _thaw(frozen: optuna.trial.FrozenTrial, phase: Phase, problem: Problem) -> Trial:
    attributes = dict(frozen.user_attrs)
    measured = {
        name: Measurement(m["value"], m["failure"], tuple(m["repeats"]), m["seconds"])
        for name, m in attributes.pop("measurements").items()
    }
    architecture = problem.space.architecture(frozen.params, **problem.sizes)
    return Trial(frozen.number, phase, architecture, measured, attributes)


def _plain(measurement: Measurement) -> Mapping[str, Any]:
    return {**asdict(measurement), "repeats": list(measurement.repeats)}


def _open_storage(path: Path) -> optuna.storages.BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    class KernelLock:
        """A lock the kernel takes back when its holder dies, so that a killed run never blocks its successor."""

        def acquire(self) -> bool:
            self._file = open(path, "ab")  # noqa: SIM115  # closed by release
            fcntl.flock(self._file, fcntl.LOCK_EX)
            return True

        def release(self) -> None:
            self._file.close()

    return JournalStorage(JournalFileBackend(str(path), lock_obj=KernelLock()))  # type: ignore[arg-type]


def mend(path: Path) -> None:
    """Cut off a last line that a killed process left torn, with a warning; only the one who may write does this.

    Raises:
        NasError: if a line before the last is damaged, which no kill can cause.
    """
    if not path.exists():
        return
    content = path.read_bytes()
    good = 0
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if line.endswith(b"\n") and _is_json(line):
            good += len(line)
        elif good + len(line) == len(content):
            warnings.warn(f"{path}: the torn last line ({len(line)} bytes) was dropped", stacklevel=2)
            os.truncate(path, good)
        else:
            raise NasError(f"{path}: line {number} is damaged; restore the file from a copy or start a new run")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NasError(f"{path}: cannot be written: {error.strerror}; what was written before is kept") from error

"""The journal of trials: an Optuna journal that only grows, and that Optuna's own tools open."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators import Measurement
from nas.problem import Problem
from nas.trial import Phase, Trial
from searchspaces import NasError

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

    from nas.journal_file import Writer


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
        self._writers: dict[Phase, optuna.Study] = {}
        self._files: dict[Phase, Writer] = {}
        self._distributions: dict[Phase, dict[str, BaseDistribution]] = {}

    def reader(self) -> optuna.storages.BaseStorage:
        """Return the file as an Optuna storage that nothing can be written through."""
        from optuna.storages import JournalStorage

        from nas.journal_file import Reader

        return JournalStorage(Reader(self.path))

    def read(self, phase: Phase) -> list[Trial]:
        """Return every trial of a phase."""
        import optuna

        if not self.path.exists():
            return []
        storage = self.reader()
        if phase not in optuna.get_all_study_names(storage):
            return []
        frozen = optuna.load_study(storage=storage, study_name=phase).get_trials(deepcopy=False)
        return [_thaw(trial, phase, self._problems[phase]) for trial in frozen]

    def append(self, trial: Trial) -> None:
        """Write one trial: nothing but the machine's own end can lose it, and that not after `SYNC_SECONDS`.

        Raises:
            NasError: if the disk is full or gone; every trial before this one is kept.
        """
        phase = trial.phase
        with _disk_errors(self.path):
            writer = self._writer(phase)
            writer.add_trial(_freeze(trial, self._problems[phase], self._distributions[phase]))
            self._files[phase].forget()  # Optuna has to see one trial of this process come back, and no more

    def _writer(self, phase: Phase) -> optuna.Study:
        import optuna
        from optuna.storages import JournalStorage

        from nas.journal_file import Writer

        if phase not in self._writers:
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            self._files[phase] = Writer(self.path)
            storage = JournalStorage(self._files[phase])
            if phase in optuna.get_all_study_names(storage):
                self._writers[phase] = optuna.load_study(storage=storage, study_name=phase)
            else:
                self._writers[phase] = self._create(phase, storage)
            self._distributions[phase] = _distributions(self._problems[phase])
        return self._writers[phase]

    def _create(self, phase: Phase, storage: optuna.storages.BaseStorage) -> optuna.Study:
        import optuna

        objectives = self._problems[phase].objectives
        directions = [objective.direction for objective in objectives]
        study = optuna.create_study(storage=storage, study_name=phase, directions=directions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # set_metric_names is marked experimental
            study.set_metric_names([objective.metric for objective in objectives])
        return study


def _distributions(problem: Problem) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for dimension in problem.space.dimensions:
        choices = dimension.choices
        if isinstance(choices, range):
            found[dimension.name] = IntDistribution(choices[0], choices[-1])
        else:
            found[dimension.name] = CategoricalDistribution(list(choices))
    return found


def _freeze(trial: Trial, problem: Problem, distributions: Mapping[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    """Return the trial as Optuna keeps it: parameters, values, constraints, and the rest as user attributes."""
    import optuna

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
        distributions={name: distributions[name] for name in trial.architecture.choices},
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
    return {
        "value": measurement.value,
        "failure": measurement.failure,
        "repeats": list(measurement.repeats),
        "seconds": measurement.seconds,
    }


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

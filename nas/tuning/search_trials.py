"""The trainings of one round of a search, as trials of Ray Tune."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from evaluators import Measurement
from evaluators.training.accuracy import Accuracy
from nas.executors.base import Evaluation, ExecutorOptions, given_up
from nas.tuning.trials import run
from searchspaces import NasError

if TYPE_CHECKING:
    from nas.tuning.watch import Ended


def run_trainings(evaluations: Sequence[Evaluation], options: ExecutorOptions, workers: int) -> Iterator[Measurement]:
    """Yield one measurement per training, in their order.

    Without early stopping the values are those that any executor gives. A training that was ended early has no
    accuracy after all its epochs, so it is a failure that says how far it came.

    Args:
        workers: trainings at a time; 0: as many as there is room for.

    Raises:
        NasError: for a training metric other than `accuracy`, or one without storage.
    """
    stored = [_stored(evaluation) for evaluation in evaluations]
    first = stored[0].metric
    assert isinstance(first, Accuracy)
    from ray import tune

    trials = run(
        lambda config: stored[config["index"]],
        options,
        metric=first,
        stop_early=first.settings.stop_early,
        concurrent=workers,
        space={"index": tune.grid_search(list(range(len(stored))))},
    )
    with closing(trials):  # type: ignore[type-var]
        done: dict[int, Measurement] = {}
        for index in range(len(stored)):
            while index not in done:
                ended = next(trials)
                done[ended.config["index"]] = _measurement(ended, first, options)
            yield done.pop(index)


def _stored(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation with a storage that means the same on every node."""
    metric = evaluation.metric
    if not isinstance(metric, Accuracy):
        raise NasError(f"the metric {metric.name!r} cannot be trained by Ray Tune; use another executor")
    storage = metric.settings.storage
    if storage is None:
        raise NasError("accuracy.storage=None: on Ray, trainings need a folder or URL for their checkpoints")
    where = storage if "://" in storage else str(Path(storage).absolute())
    stored = Accuracy(metric.settings.model_copy(update={"storage": where}))
    return Evaluation(stored, evaluation.architecture, evaluation.repeat)


def _measurement(ended: Ended, metric: Accuracy, options: ExecutorOptions) -> Measurement:
    told = ended.told
    seconds = float(told.get("cpu_seconds", told.get("time_total_s", 0.0)))
    if "value" in told:
        return Measurement(told["value"], None, (told["value"],), seconds)
    if told.get("failure"):
        return Measurement(None, told["failure"], (), seconds)
    if ended.lost:
        limit = options.timeout_seconds
        fate = "died (out of memory?)" if limit is None else f"died, or hung for {limit:g} s"
        return given_up(fate, options.max_retries + 1)
    how = (
        f"ended early by {metric.settings.stop_early} after {told.get('epochs', 0)} of {metric.recipe(0).epochs} epochs"
    )
    return Measurement(None, f"{how}, at {told.get('accuracy', 0.0):.4f}", (), seconds)

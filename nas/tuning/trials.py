"""One training as a trial of Ray Tune, and what a set of trials is run with."""

from __future__ import annotations

import faulthandler
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evaluators import Metric
from evaluators.training.accuracy import Accuracy
from nas.executors.base import Evaluation, ExecutorOptions
from nas.executors.files import Packed, folders_of, pack, unpack
from nas.executors.ray_cluster import actor_options, parse_resources
from nas.executors.ray_worker import Surroundings
from searchspaces import NasError, unknown_name

if TYPE_CHECKING:
    from nas.tuning.watch import Ended

SCHEDULERS = ("asha", "hyperband")
BRACKETS = 3  # of asynchronous HyperBand: as many halvings, each beginning later than the one before
_FAREWELL = 10.0  # seconds that Ray Tune has to end its trials
Make = Callable[[dict[str, Any]], Evaluation]


def run(
    make: Make,
    options: ExecutorOptions,
    *,
    metric: Accuracy,
    stop_early: str | None,
    concurrent: int,
    space: dict[str, Any] | None = None,
    search: Any = None,
    samples: int = 1,
    began: Callable[[dict[str, Any]], None] = lambda config: None,
) -> Iterator[Ended]:
    """Train every configuration as a trial of Ray Tune; yield the trials as they end.

    A trial whose worker or node dies is begun again on another, where it goes on from its checkpoint. What Ray Tune
    itself writes down goes to a scratch folder and is never read again: it is pickled.

    Args:
        make: configuration to training; the metric of it is an `Accuracy`.
        metric: one of those `make` gives, for its epochs and the folders that it reads.
        concurrent: trials at a time; 0: as many as there is room for.
        space: what is to be trained, unless a searcher of Ray Tune is given as `search`.
        samples: how many trials a searcher is asked for.
        began: is told the configuration of each trial that begins, in another thread.
    """
    os.environ.update({"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"})
    from ray import tune

    from nas.tuning.watch import Stop, Watch

    ended: queue.Queue[Ended | BaseException | None] = queue.Queue()
    stopped = threading.Event()

    train = tune.with_parameters(
        _train, make=make, surroundings=Surroundings.here(), folders=_folders(metric), seconds=options.timeout_seconds
    )
    need = actor_options(parse_resources(options.resources))
    bundle = {"cpu": need["num_cpus"], "gpu": need["num_gpus"], **need["resources"]}
    plan = scheduler(stop_early, metric.recipe(0).epochs)

    def fit(scratch: str) -> None:
        try:
            tune.Tuner(
                tune.with_resources(train, {name: amount for name, amount in bundle.items() if amount}),
                param_space=space,
                tune_config=tune.TuneConfig(
                    metric="accuracy",
                    mode="max",
                    search_alg=search,
                    scheduler=plan,
                    num_samples=samples,
                    max_concurrent_trials=concurrent or None,
                ),
                run_config=tune.RunConfig(
                    name="trials",
                    storage_path=scratch,
                    verbose=0,
                    stop=Stop(stopped),
                    callbacks=[Watch(ended, began)],
                    failure_config=tune.FailureConfig(max_failures=options.max_retries),
                ),
            ).fit()
            ended.put(None)
        except BaseException as error:  # handed to the thread that waits
            ended.put(error)

    with tempfile.TemporaryDirectory(prefix="nas-tune-", ignore_cleanup_errors=True) as scratch:
        # In a thread of its own, Tune leaves Ctrl-C to the search, and results are recorded one by one.
        thread = threading.Thread(target=fit, args=(scratch,), daemon=True)
        thread.start()
        try:
            while (item := ended.get()) is not None:
                if isinstance(item, BaseException):
                    raise NasError(f"Ray Tune ended: {item}") from item
                yield item
        finally:
            stopped.set()
            thread.join(_FAREWELL)


def scheduler_name(text: str) -> str | None:
    """Return the scheduler a user asked for; None for ``none``.

    Raises:
        NasError: an unknown name.
    """
    if text == "none":
        return None
    if text not in SCHEDULERS:
        raise unknown_name("stop_early", text, (*SCHEDULERS, "none"))
    return text


def scheduler(name: str | None, epochs: int) -> Any:
    """Return the scheduler of Ray Tune that ends poor trials early, by their validation accuracy after some epochs."""
    from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

    if name is None:
        return FIFOScheduler()
    brackets = BRACKETS if name == "hyperband" else 1
    # One more than there are: a trial that reached its last epoch ends by itself, with its result.
    return AsyncHyperBandScheduler(time_attr="epochs", max_t=epochs + 1, grace_period=1, brackets=brackets)


def _folders(metric: Metric) -> list[Packed]:
    try:
        return [pack(name) for name in folders_of(metric)]
    except OSError as error:
        raise NasError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _train(
    config: dict[str, Any],
    make: Make,
    surroundings: Surroundings,
    folders: Sequence[Packed],
    seconds: float | None,
) -> None:
    """Run on a worker: train, telling Ray Tune every epoch; the last report has the `value`, or the `failure`."""
    from ray import tune

    surroundings.enter()
    evaluation = make(config)
    metric = evaluation.metric
    assert isinstance(metric, Accuracy)
    local = {packed.name: unpack(packed) for packed in folders}
    if (data_dir := metric.settings.data_dir) in local:
        metric = Accuracy(metric.settings.model_copy(update={"data_dir": local[data_dir]}))
    last: dict[str, Any] = {"accuracy": 0.0, "epochs": 0}

    def tell(record: dict[str, Any]) -> None:
        last.update(accuracy=record["validation_accuracy"], epochs=record["epoch"])
        tune.report(dict(last))

    if seconds is not None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=open(os.devnull, "w"))  # noqa: SIM115
    start = time.thread_time()
    try:
        value = metric.train(evaluation.architecture, evaluation.repeat, str(metric.settings.storage), tell)
        tune.report({**last, "value": value, "cpu_seconds": time.thread_time() - start})
    except Exception as error:
        if type(error).__module__.startswith("ray."):
            raise
        reason = str(error) if isinstance(error, NasError) else f"{type(error).__name__}: {error}"
        tune.report({**last, "failure": reason, "cpu_seconds": time.thread_time() - start})
    finally:
        faulthandler.cancel_dump_traceback_later()

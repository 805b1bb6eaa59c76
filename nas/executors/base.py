"""What every executor is: it maps evaluations to measurements, in the order given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from pydantic import Field

from evaluators import Measurement, Metric
from evaluators.metric import measure_once
from evaluators.settings import Settings
from searchspaces import Architecture, Registry


class ExecutorOptions(Settings):
    """How workers are had, and when they are given up. None of it changes a result."""

    max_retries: int = Field(default=2, ge=0, description="further tries for an evaluation whose worker died or hung")
    timeout_seconds: float | None = Field(default=None, gt=0, description="after which a worker counts as hung")
    ray_address: str | None = Field(default=None, description="auto, HOST:PORT or ray://HOST:PORT; None: a local Ray")
    resources: str = Field(default="cpu=1", description="of a worker on Ray")
    connect_timeout: float = Field(default=30.0, gt=0, description="seconds within which a Ray cluster must answer")


@dataclass(frozen=True)
class Evaluation:
    """One repeat of one metric for one architecture: the unit that workers share out."""

    metric: Metric
    architecture: Architecture
    repeat: int

    def run(self) -> Measurement:
        """Return the measurement; a failure carries its reason."""
        return measure_once(self.metric, self.architecture, self.repeat)


class Executor:
    """Base of all executors; a context manager.

    Every evaluation runs on one thread, whatever the number of workers: how many threads share a sum can change its
    last bits, and the results of a search must not depend on the machine's load or on `workers`.
    """

    def __init__(self, workers: int, options: ExecutorOptions | None = None) -> None:
        self.workers = workers
        self.options = options or ExecutorOptions()

    @property
    def active(self) -> int:
        """How many workers are at work now; fewer than asked for while some start or were lost."""
        return self.workers

    def map(self, evaluations: Iterable[Evaluation]) -> Iterator[Measurement]:
        """Yield one measurement per evaluation, in their order, as soon as each is known."""
        raise TypeError(f"{type(self).__name__} does not say how it maps")

    def map_trainings(self, evaluations: Sequence[Evaluation]) -> Iterator[Measurement]:
        """Yield one measurement per evaluation that is a whole training, in their order; by default as any other."""
        return self.map(evaluations)

    def close(self) -> None:
        """Stop the workers; evaluations in flight are given up."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def given_up(fate: str, tries: int) -> Measurement:
    """Return the failure of an evaluation whose worker met the same fate in each of `tries` tries.

    >>> given_up("died (out of memory?)", 1).failure
    'the worker process died (out of memory?) once'
    """
    return Measurement(None, f"the worker process {fate} {'once' if tries == 1 else f'{tries} times'}")


executors: Registry[type[Executor]] = Registry("executor", "nas.executors")

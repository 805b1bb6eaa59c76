"""What every executor is: it maps evaluations to measurements, in the order given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

from evaluators import Measurement, Metric
from evaluators.metric import measure_once
from searchspaces import Architecture, Registry


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

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, evaluations: Iterable[Evaluation]) -> Iterator[Measurement]:
        """Yield one measurement per evaluation, in their order, as soon as each is known."""
        raise TypeError(f"{type(self).__name__} does not say how it maps")

    def close(self) -> None:
        """Stop the workers; evaluations in flight are given up."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


executors: Registry[type[Executor]] = Registry("executor", "nas.executors")

"""Evaluation in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evaluators import Measurement
from nas.executors.base import Evaluation, Executor, ExecutorOptions, executors


@executors.register("inline")
class InlineExecutor(Executor):
    """Needs no worker processes; the choice for debugging and for cheap metrics."""

    def __init__(self, workers: int = 1, options: ExecutorOptions | None = None) -> None:
        import torch

        super().__init__(1, options)
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)

    def map(self, evaluations: Iterable[Evaluation]) -> Iterator[Measurement]:
        """Yield the measurements lazily: nothing runs before it is asked for."""
        for evaluation in evaluations:
            yield evaluation.run()

    def close(self) -> None:
        """Give the threads back."""
        import torch

        torch.set_num_threads(self._threads)

"""Evaluation over the actors of a Ray cluster, which live as long as the search."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import length_hint

from evaluators import Measurement
from nas.executors.base import Evaluation, Executor, ExecutorOptions, executors, given_up
from nas.executors.ray_cluster import connect
from nas.executors.ray_pool import Call, Pool, Task

AHEAD = 4  # evaluations per worker that wait in line, in units of a batch
TURN = 0.5  # seconds of work that a batch may have: passing it on costs a millisecond or more
LARGEST = 64  # evaluations in a batch


@executors.register("ray")
class RayExecutor(Executor):
    """One actor with one thread per slot of `resources`; on a cluster, actors come with the nodes that join.

    Cheap evaluations travel in batches that adapt to their duration. A worker that dies or hangs is replaced. The
    batch it had runs again one by one, so that only the evaluation that takes workers down fails, after `max_retries`
    further tries of its own.

    Args:
        workers: at most so many; 0: as many as the cluster has room for.

    Raises:
        NasError: the cluster cannot be had, in one sentence.
    """

    def __init__(self, workers: int, options: ExecutorOptions | None = None) -> None:
        import ray

        super().__init__(workers, options)
        self._mine = not ray.is_initialized()
        joined = connect(self.options, workers) if self._mine else True
        self._pool = Pool(workers, self.options, carry=joined)
        self._training = False

    @property
    def active(self) -> int:
        """How many actors have started and live; of trainings, how many there is room for."""
        return self._pool.room if self._training else self._pool.active

    def map(self, evaluations: Iterable[Evaluation]) -> Iterator[Measurement]:
        """Yield the measurements in order; a limited number of batches per worker is under way.

        Raises:
            NasError: no worker can start, or none is left and none comes back.
        """
        line = _Line(evaluations, self.options)
        try:
            while not line.finished:
                self._pool.tend()
                for worker in self._pool.idle():
                    tasks = line.take(len(self._pool.workers))
                    if not tasks:
                        break
                    self._pool.send(worker, tasks)
                yield from line.ready()
                if line.finished:
                    return
                for call in self._pool.wait():
                    line.settle(call)
        finally:
            self._pool.drop_busy()  # a search that stops early gives up what is in flight

    def map_trainings(self, evaluations: Sequence[Evaluation]) -> Iterator[Measurement]:
        """Yield the results of whole trainings, as trials of Ray Tune."""
        from nas.tuning.search_trials import run_trainings

        self._pool.close()  # Tune's trials need the room
        self._training = True
        try:
            yield from run_trainings(evaluations, self.options, self.workers)
        finally:
            self._training = False

    def close(self) -> None:
        """End the actors and, unless the caller had connected to it before, leave the cluster."""
        import ray

        self._pool.close()
        if self._mine:
            ray.shutdown()


@dataclass
class _Line:
    """Evaluations on their way: those to be sent, sent, done and waiting for their turn to be yielded."""

    evaluations: Iterable[Evaluation]
    options: ExecutorOptions
    batch: int = 1
    taken: int = 0
    yielded: int = 0
    exhausted: bool = False
    again: deque[Task] = field(default_factory=deque)
    done: dict[int, Measurement] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._source = iter(self.evaluations)

    @property
    def finished(self) -> bool:
        """Whether every evaluation has been yielded."""
        return self.exhausted and self.yielded == self.taken

    def take(self, workers: int) -> list[Task]:
        """Return the next batch: one that has to run alone, or new ones while not too many are under way."""
        if self.again:
            return [self.again.popleft()]
        room = AHEAD * workers * self.batch - (self.taken - self.yielded)
        left = length_hint(self._source)  # 0 where it is not known
        fair = math.ceil(left / (2 * workers)) if left else self.batch  # so that all workers end together
        size = max(0, min(self.batch, room, fair))
        tasks = [Task(self.taken + i, evaluation) for i, evaluation in enumerate(islice(self._source, size))]
        self.exhausted |= len(tasks) < size
        self.taken += len(tasks)
        return tasks

    def ready(self) -> Iterator[Measurement]:
        """Yield what is next in the order asked and done."""
        while self.yielded in self.done:
            self.yielded += 1
            yield self.done.pop(self.yielded - 1)

    def settle(self, call: Call) -> None:
        """Keep the results of a call, or decide what becomes of its evaluations."""
        if call.found is not None:
            for task, measurement in zip(call.tasks, call.found, strict=True):
                self.done[task.index] = measurement
            wanted = int(len(call.tasks) * TURN / max(call.seconds, 1e-6))
            self.batch = max(1, min(LARGEST, 2 * self.batch, wanted))
            return
        for task in call.tasks:
            if call.started and len(call.tasks) == 1:
                task.tries += 1
            if task.tries > self.options.max_retries:
                self.done[task.index] = given_up(call.fate, task.tries)
            else:
                self.again.append(task)

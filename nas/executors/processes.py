"""Evaluation over local worker processes that live as long as the search."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from evaluators import Measurement
from nas.executors.base import Evaluation, Executor, executors

MAX_RETRIES = 2  # a worker that dies this often again over one evaluation fails it
AHEAD = 4  # evaluations per worker that wait in line, so that a large pool never sits in memory


@executors.register("processes")
class ProcessExecutor(Executor):
    """Local processes with one thread each.

    A worker that dies (out of memory, a crash in native code) is replaced and what was in flight runs again, one by
    one, so that only the evaluation that kills workers fails, after `MAX_RETRIES` further tries.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._pool = self._start()

    def map(self, evaluations: Iterable[Evaluation]) -> Iterator[Measurement]:
        """Yield the measurements in order; up to `AHEAD` evaluations per worker are under way."""
        waiting = iter(evaluations)
        line: deque[tuple[Evaluation, Future[Measurement]]] = deque()
        while True:
            for evaluation in itertools.islice(waiting, AHEAD * self.workers - len(line)):
                line.append((evaluation, self._submit(evaluation)))
            if not line:
                return
            evaluation, future = line.popleft()
            try:
                measurement = future.result()
            except BrokenProcessPool:
                measurement = self._run_alone(evaluation)
                survivors = [survivor for survivor, _ in line]
                line.clear()
                for survivor in survivors:
                    done: Future[Measurement] = Future()
                    done.set_result(self._run_alone(survivor))
                    line.append((survivor, done))
            yield measurement

    def close(self) -> None:
        """End the workers at once."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()

    def _submit(self, evaluation: Evaluation) -> Future[Measurement]:
        try:
            return self._pool.submit(evaluation.run)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False)
            self._pool = self._start()
            return self._pool.submit(evaluation.run)

    def _run_alone(self, evaluation: Evaluation) -> Measurement:
        for _ in range(MAX_RETRIES):
            try:
                return self._submit(evaluation).result()
            except BrokenProcessPool:
                continue
        return Measurement(None, f"the worker process died {MAX_RETRIES + 1} times (out of memory?)")

    def _start(self) -> ProcessPoolExecutor:
        # A fork server imports torch once and has no threads when it forks: workers start in milliseconds and
        # cannot inherit a held lock. Where there is none (Windows), workers are spawned.
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            context.set_forkserver_preload(["nas.executors.worker"])
        return ProcessPoolExecutor(self.workers, mp_context=context, initializer=prepare_worker)


def prepare_worker() -> None:
    """Set up a worker: one thread, Ctrl-C left to the parent, no life without the parent."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent killed by signal 9 closes nothing; without this its workers would wait for it for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

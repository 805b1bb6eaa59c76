"""Evaluation over local worker processes that live as long as the search."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool

from evaluators import Measurement
from nas.executors.base import Evaluation, Executor, ExecutorOptions, executors, given_up

AHEAD = 4  # evaluations per worker that wait in line, so that a large pool never sits in memory


@executors.register("processes")
class ProcessExecutor(Executor):
    """Local processes with one thread each.

    A worker that dies (out of memory, a crash in native code) or hangs is replaced and what was in flight runs again,
    one by one, so that only the evaluation that takes workers down fails, after `max_retries` further tries.
    """

    def __init__(self, workers: int, options: ExecutorOptions | None = None) -> None:
        super().__init__(workers, options)
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
                measurement = self._wait(future)
            except (BrokenProcessPool, TimeoutError):
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

    def _wait(self, future: Future[Measurement]) -> Measurement:
        """Return the result; every worker is ended where it takes too long, since nobody knows which one has it."""
        try:
            return future.result(self.options.timeout_seconds)
        except TimeoutError:
            for process in list(self._pool._processes.values()):
                process.kill()
            raise

    def _run_alone(self, evaluation: Evaluation) -> Measurement:
        tries = self.options.max_retries + 1
        fate = ""
        for _ in range(tries):
            try:
                return self._wait(self._submit(evaluation))
            except BrokenProcessPool:
                fate = "died (out of memory?)"
            except TimeoutError:
                fate = f"hung for {self.options.timeout_seconds:g} s"
        return given_up(fate, tries)

    def _start(self) -> ProcessPoolExecutor:
        # A fork server imports torch once and has no threads when it forks: workers start in milliseconds and
        # cannot inherit a held lock. Where there is none (Windows), workers are spawned.
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            context.set_forkserver_preload(["nas.executors.worker"])
        pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=prepare_worker)
        if self.options.timeout_seconds is not None:
            pool.submit(os.getpid).result()  # starting takes seconds, and is no part of an evaluation's time
        return pool


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

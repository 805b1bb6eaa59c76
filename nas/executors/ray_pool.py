"""The actors of a search on Ray: started, given calls, watched, replaced."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluators import Measurement
from nas.executors.base import Evaluation, ExecutorOptions
from nas.executors.files import folders_of, pack
from nas.executors.ray_cluster import actor_options, parse_resources, slots
from nas.executors.ray_worker import Surroundings, Worker
from searchspaces import NasError

LOOK = 1.0  # seconds between looks at which nodes there are
CALLS = 2  # per worker: one runs, one waits, so that no worker waits for the driver
STARTS = 10  # workers in a row that may die before they have started


@dataclass
class Task:
    """An evaluation, its place in the order asked, and how often it took a worker down when it ran alone."""

    index: int
    evaluation: Evaluation
    tries: int = 0


@dataclass
class Call:
    """A batch given to a worker, and what became of it.

    Args:
        started: whether the worker was at it when it was lost; calls that waited behind it are not to blame.
        fate: of the worker, in words.
    """

    tasks: list[Task]
    reference: Any
    found: Sequence[Measurement] | None = None
    seconds: float = 0.0
    started: bool = False
    fate: str = ""


@dataclass
class Member:
    """An actor with the calls it has; `since` is when it began the first of them."""

    actor: Any
    greeting: Any
    ready: bool = False
    calls: deque[Call] = field(default_factory=deque)
    since: float = 0.0
    placed: int = 0


class Pool:
    """Keeps as many actors as there are slots, and at most `wanted` unless that is 0.

    Args:
        carry: whether folders that metrics read are put into the object store, for nodes that do not see them.
    """

    def __init__(self, wanted: int, options: ExecutorOptions, carry: bool) -> None:
        self.options = options
        self.workers: list[Member] = []
        self._wanted = wanted
        self._carry = carry
        self._need = parse_resources(options.resources)
        self._looked = self._had_slots = time.monotonic() - LOOK
        self._failed_starts = 0
        self._folders: dict[str, Any] = {}
        self._metrics: dict[int, object] = {}  # seen before; kept, so that an id stays theirs

    @property
    def active(self) -> int:
        """How many workers have started."""
        return sum(worker.ready for worker in self.workers)

    @property
    def room(self) -> int:
        """How many workers there could be."""
        available = slots(self._need)
        return min(available, self._wanted or available)

    def tend(self) -> None:
        """Start workers where there is room for them.

        Raises:
            NasError: if the cluster has had no room for longer than a connection may take.
        """
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        room = self.room
        if room:
            self._had_slots = now
        elif now - self._had_slots > self.options.connect_timeout:
            raise NasError(
                f"the Ray cluster has had no node with {self.options.resources} for "
                f"{self.options.connect_timeout:g} s; what was measured is kept: continue when it is back"
            )
        for _ in range(room - len(self.workers)):
            self.workers.append(self._start())

    def idle(self) -> Iterator[Member]:
        """Yield workers that can take a call, those with none first."""
        for length in range(CALLS):
            for worker in self.workers:
                if worker.ready and len(worker.calls) == length:
                    yield worker

    def send(self, worker: Member, tasks: list[Task]) -> None:
        """Give a batch to a worker."""
        for task in tasks:
            self._note_folders(task.evaluation)
        for reference in list(self._folders.values())[worker.placed :]:
            worker.actor.place.remote(reference)
        worker.placed = len(self._folders)
        if not worker.calls:
            worker.since = time.monotonic()
        reference = worker.actor.run.remote([task.evaluation for task in tasks])
        worker.calls.append(Call(tasks, reference))

    def wait(self) -> list[Call]:
        """Return the calls that ended, after waiting for one for at most `LOOK` seconds."""
        import ray

        heads = {worker.calls[0].reference if worker.calls else worker.greeting: worker for worker in self.workers}
        heads = {reference: w for reference, w in heads.items() if w.calls or not w.ready}
        if not heads:
            time.sleep(LOOK / 10)
            return []
        first, _ = ray.wait(list(heads), num_returns=1, timeout=self._patience())
        ready, _ = ray.wait(list(heads), num_returns=len(heads), timeout=0) if first else ([], [])
        ended: list[Call] = []
        for reference in ready:
            ended += self._greet(heads[reference]) if not heads[reference].ready else self._collect(heads[reference])
        return ended + self._end_hung()

    def drop_busy(self) -> None:
        """End the workers that have calls; others take their place when they are needed."""
        for worker in [worker for worker in self.workers if worker.calls]:
            self._remove(worker)

    def close(self) -> None:
        """End every worker."""
        for worker in list(self.workers):
            self._remove(worker)

    def _start(self) -> Member:
        import ray

        remote: Any = ray.remote(Worker)
        actor = remote.options(**actor_options(self._need), max_restarts=0).remote(Surroundings.here())
        return Member(actor, actor.versions.remote())

    def _greet(self, worker: Member) -> list[Call]:
        """Take a worker in, or out again if it could not start.

        Raises:
            NasError: if workers cannot start at all.
        """
        import ray

        try:
            there = ray.get(worker.greeting)
        except ray.exceptions.RayError as error:
            self._remove(worker)
            self._failed_starts += 1
            if "Error" in (cause := _cause(error)) or self._failed_starts >= STARTS:
                raise NasError(f"no worker can start on the Ray cluster: {cause}; is nas installed there?") from error
            return []
        from nas.config import versions

        worker.ready, self._failed_starts = True, 0
        for name, here in versions().items():
            if there.get(name) != here:
                warnings.warn(
                    f"a worker has {name} {there.get(name)}, this machine {here}; values may differ", stacklevel=2
                )
        return []

    def _collect(self, worker: Member) -> list[Call]:
        """Take the result of a worker's first call; a worker that was lost loses all its calls."""
        import ray

        call = worker.calls[0]
        try:
            call.found, call.seconds = ray.get(call.reference)
        except ray.exceptions.RayTaskError as error:  # the worker lives, but could not read what it was sent
            if len(call.tasks) == 1:  # of several each is sent again, alone
                call.found = [Measurement(None, _cause(error))]
        except ray.exceptions.RayError:
            return self._lose(worker, "died (out of memory?)")
        worker.calls.popleft()
        worker.since = time.monotonic()
        return [call]

    def _end_hung(self) -> list[Call]:
        limit = self.options.timeout_seconds
        if limit is None:
            return []
        hung = [worker for worker in self.workers if worker.calls and time.monotonic() - worker.since > limit]
        return [call for worker in hung for call in self._lose(worker, f"hung for {limit:g} s")]

    def _patience(self) -> float:
        """Return the seconds until a worker may count as hung, or the nodes are looked at again."""
        limit = self.options.timeout_seconds
        busy = [worker.since for worker in self.workers if worker.calls]
        if limit is None or not busy:
            return LOOK
        return min(LOOK, max(0.01, min(busy) + limit - time.monotonic()))

    def _lose(self, worker: Member, fate: str) -> list[Call]:
        calls = list(worker.calls)
        for call in calls:
            call.started, call.fate = call is calls[0], fate
        self._remove(worker)
        return calls

    def _remove(self, worker: Member) -> None:
        import ray

        self.workers.remove(worker)
        self._looked = time.monotonic() - LOOK  # look for its replacement at once
        ray.kill(worker.actor, no_restart=True)

    def _note_folders(self, evaluation: Evaluation) -> None:
        """Put the folders that a metric reads into the object store, the first time it is seen."""
        import ray

        metric = evaluation.metric
        if id(metric) in self._metrics:
            return
        self._metrics[id(metric)] = metric
        for name in folders_of(metric):
            if name not in self._folders:
                try:
                    self._folders[name] = ray.put(pack(name, self._carry))
                except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError) as error:
                    raise NasError(
                        f"{name} does not fit into Ray's object store; put it where every node sees it at the same "
                        "path, or start Ray with a larger --object-store-memory"
                    ) from error
                except OSError as error:
                    raise NasError(f"{name}: cannot be read: {error.strerror}") from error


def _cause(error: Exception) -> str:
    """Return the last line of what went wrong on the worker."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error: " in line), lines[-1] if lines else type(error).__name__)

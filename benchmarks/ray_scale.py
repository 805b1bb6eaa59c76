"""What the executor `ray` costs: start, overhead per evaluation, many sleeping workers, a million candidates.

    python benchmarks/ray_scale.py                       # all of it; the million takes most of the time
    python benchmarks/ray_scale.py --only overhead --only sleeping

Workers sleep or compute next to nothing, so the figures are the driver's, not the machine's.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from evaluators import Metric, Settings, get_metric, register_metric
from nas.config import resolve
from nas.executors import Evaluation, Executor, make_executor
from nas.rundir import RunDirectory
from nas.study import Study
from searchspaces import Architecture, get_space

SPACE = "asvit"


class TrivialSettings(Settings):
    """Options of the trivial metric."""

    seconds: float = 0.0


@register_metric
class Trivial(Metric):
    """How long the measuring took, which is a sleep."""

    name = "trivial"
    direction = "maximize"
    Settings = TrivialSettings

    def measure(self, architecture: Architecture, repeat: int) -> float:
        """Return wall-clock seconds; a busy machine wakes a sleeper late."""
        begun = time.perf_counter()
        if self.settings.seconds:
            time.sleep(self.settings.seconds)
        return time.perf_counter() - begun


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(PARTS), help="one part; may repeat")
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, action="append", help="sleeping workers; may repeat [16 and 64]")
    arguments = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores")
    for name in arguments.only or PARTS:
        PARTS[name](arguments)


def start(_: argparse.Namespace) -> None:
    """Time a local Ray from nothing to its first result."""
    begun, processor = time.perf_counter(), _children_seconds()
    with make_executor("ray", 2) as executor:
        connected = time.perf_counter() - begun
        next(iter(executor.map(_evaluations(get_metric("trivial"), 1))))
        seconds = time.perf_counter() - begun
    spent = _children_seconds() - processor
    print(f"start: {connected:.1f} s to a Ray, {seconds:.1f} s to the first result; bar 10 s")
    print(f"       {spent:.1f} s of processor time of all its processes, until they ended")


def overhead(_: argparse.Namespace) -> None:
    """Time a whole search of 10,000 trials, driver to journal, and the executor alone."""
    count = 10_000
    with make_executor("ray", 2) as executor, tempfile.TemporaryDirectory() as folder:
        _warm(executor)
        best = min(_timed(lambda: _drain(executor.map(_evaluations(get_metric("trivial"), count)))) for _ in range(2))
        print(f"overhead, executor alone: {best[0] / count * 1e3:.2f} ms, driver CPU {best[1] / count * 1e3:.2f} ms")
        values = {"space": SPACE, "strategy": "random", "trials": count, "maximize": ["trivial"], "no_scale": True}
        config = resolve({**values, "strategy_options": {"batch": 500}})
        study = Study(RunDirectory.create(Path(folder) / "run", config), executor)
        wall, processor = _timed(study.run)
        print(
            f"overhead, driver to journal: {wall / count * 1e3:.2f} ms per evaluation of {count}, "
            f"driver CPU {processor / count * 1e3:.2f} ms; bar 2 ms"
        )


def sleeping(arguments: argparse.Namespace) -> None:
    """Compare workers that sleep 100 ms per evaluation with the ideal rate."""
    seconds = 0.1
    for workers in arguments.workers or (16, 64):
        with make_executor("ray", workers) as executor:
            _warm(executor, workers)
            tasks = list(_evaluations(get_metric("trivial", {"seconds": seconds}), workers * 120))
            begun, processor = time.perf_counter(), time.thread_time()
            slept = sum(measurement.value or 0.0 for measurement in executor.map(tasks))
            wall, processor = time.perf_counter() - begun, time.thread_time() - processor
        rate, ideal = len(tasks) / wall, workers / seconds
        print(
            f"sleeping, {workers} workers: {rate:.0f}/s of {ideal:.0f}/s, {rate / ideal:.1%}; bar 90 %; "
            f"asleep {slept / wall / workers:.1%} of the time, {slept / len(tasks) * 1e3:.0f} ms each; "
            f"driver busy {processor / wall:.0%}"
        )


def million(arguments: argparse.Namespace) -> None:
    """Score sampled candidates by params and macs, and watch the driver's memory."""
    count = arguments.candidates
    metrics = [get_metric("params"), get_metric("macs")]
    space, rng = get_space(SPACE), np.random.default_rng(0)

    def candidates() -> Iterator[Evaluation]:
        for _ in range(count):
            architecture = space.sample(rng)
            for metric in metrics:
                yield Evaluation(metric, architecture, 0)

    begun = time.perf_counter()
    with make_executor("ray", 2) as executor:
        for number, measurement in enumerate(executor.map(candidates()), 1):
            assert measurement.failure is None
            if number % (2 * count // 10) == 0:
                print(
                    f"million: {number // 2:>9,} candidates, driver memory {_resident_mb():.0f} MB, "
                    f"{time.perf_counter() - begun:.0f} s",
                    flush=True,
                )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"million: peak of the driver {peak:.0f} MB; bar 2,000 MB, flat")


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "start": start,
    "overhead": overhead,
    "sleeping": sleeping,
    "million": million,
}


def _evaluations(metric: Metric, count: int) -> Iterator[Evaluation]:
    space, rng = get_space(SPACE), np.random.default_rng(0)
    networks = [space.sample(rng) for _ in range(min(count, 100))]
    return (Evaluation(metric, networks[i % len(networks)], 0) for i in range(count))


def _warm(executor: Executor, workers: int = 2) -> None:
    """Wait until every worker has started."""
    while executor.active < workers:  # whole rounds: a round that is left takes its workers with it
        _drain(executor.map(_evaluations(get_metric("trivial", {"seconds": 0.1}), 4 * workers)))


def _drain(results: Iterator[object]) -> None:
    for _ in results:
        pass


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return wall-clock and thread CPU seconds of a call."""
    wall, processor = time.perf_counter(), time.thread_time()
    call()
    return time.perf_counter() - wall, time.thread_time() - processor


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()

"""How many networks of each space can be drawn and counted in a second, on one thread and with warm caches.

    python benchmarks/sampling_speed.py                     every space; about two minutes, most of it tracing parts
    python benchmarks/sampling_speed.py vit_resnas_tiny     some spaces

A constrained draw is `Problem.draw` under the limit given in the table: the published one of the Tiny space, for other
spaces the median of the space, so that every other network is turned down. Times are CPU seconds of the thread, the
least of some runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from evaluators import get_metric
from hardware import network_cost
from nas.expressions import Constraint
from nas.problem import Problem
from searchspaces import SearchSpace, get_space, spaces

RUNS, NETWORKS, WARM_UP = 7, 2000, 8000
SIZES = {"image_size": 224, "in_channels": 3, "num_classes": 1000}
LIMITS = {"vit_resnas_tiny": 1_794_400_000}


def per_second(work: Callable[[], Any], count: int) -> float:
    """Return how often `count` things done by `work` are done per CPU second, in its fastest run."""
    seconds = []
    for _ in range(RUNS):
        start = time.thread_time()
        work()
        seconds.append(time.thread_time() - start)
    return count / min(seconds)


def problem(space: SearchSpace, limit: float) -> Problem:
    """Return the problem of a search with a limit on MACs."""
    macs = get_metric("macs")
    constraints = [Constraint("macs", "<=", limit)]
    return Problem(space, SIZES, [], constraints, frozenset({"macs"}), lambda _, network: macs.measure(network, 0))


def measure(name: str) -> tuple[float, ...]:
    """Return per second: draws, MAC checks, both, constrained draws; then the limit and the share it lets in."""
    space, rng = get_space(name), np.random.default_rng(0)
    known = [network_cost(space.sample(rng, **SIZES)).macs for _ in range(WARM_UP)]
    limit = LIMITS.get(name, median(known))
    task = problem(space, limit)
    drawn = [space.sample(rng, **SIZES) for _ in range(NETWORKS)]
    rows = (
        lambda: [space.sample(rng, **SIZES) for _ in range(NETWORKS)],
        lambda: [network_cost(network).macs for network in drawn],
        lambda: [network_cost(space.sample(rng, **SIZES)).macs for _ in range(NETWORKS)],
        lambda: [task.draw(lambda: task.sample(rng)) for _ in range(NETWORKS)],
    )
    return (*(per_second(work, NETWORKS) for work in rows), limit, sum(macs <= limit for macs in known) / WARM_UP)


def main() -> None:
    """Print one line per space."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("spaces", nargs="*", help="names; all of them by default")
    torch.set_num_threads(1)
    print(f"{'space':22}{'draws/s':>10}{'checks/s':>10}{'both/s':>10}{'limited/s':>11}   limit, MACs   let in")
    for name in parser.parse_args().spaces or spaces.names():
        draws, checks, both, limited, limit, share = measure(name)
        print(f"{name:22}{draws:10,.0f}{checks:10,.0f}{both:10,.0f}{limited:11,.0f}   {limit:11.4g}   {share:6.0%}")


if __name__ == "__main__":
    main()

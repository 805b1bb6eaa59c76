"""Where evaluations run: in this process, over local worker processes, or over Ray."""

from __future__ import annotations

import os

from nas.executors.base import Evaluation, Executor, ExecutorOptions, executors

from nas.executors import inline, processes, ray_actors  # isort: skip  # register themselves

__all__ = [
    "Evaluation",
    "Executor",
    "ExecutorOptions",
    "available_cores",
    "executors",
    "inline",
    "make_executor",
    "processes",
    "ray_actors",
]


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_executor(name: str, workers: int, options: ExecutorOptions | None = None) -> Executor:
    """Return the executor called `name`.

    Args:
        workers: how many; 0 on a Ray cluster: one per slot, those of nodes that join later included.

    Raises:
        NasError: an unknown name; close names are listed. On Ray: a cluster that cannot be had.
    """
    return executors.get(name)(workers, options)

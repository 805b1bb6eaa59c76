"""Where evaluations run: in this process, or over local worker processes."""

from __future__ import annotations

import os

from nas.executors.base import Evaluation, Executor, executors

from nas.executors import inline, processes  # isort: skip  # register themselves

__all__ = ["Evaluation", "Executor", "available_cores", "executors", "inline", "make_executor", "processes"]


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_executor(name: str, workers: int) -> Executor:
    """Return the executor called `name`.

    Raises:
        NasError: an unknown name; close names are listed.
    """
    return executors.get(name)(workers)

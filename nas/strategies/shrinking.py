"""Random networks just under a limit: ViT-ResNAS's random individual (arXiv 2109.00642), for any space and metric."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from nas.expressions import Constraint
from nas.problem import Problem
from searchspaces import Architecture, Dimension, NasError, Value

_FINE_STEPS = 100  # single steps down of the fine decisions alone, before every decision may shrink
_REDRAWS = 2000  # of the coarse decisions, while the network is below the band


def limit_of(problem: Problem) -> Constraint:
    """Return the limit that networks shrink to: the first upper bound on a static metric.

    Raises:
        NasError: if there is none.
    """
    for constraint in problem.constraints:
        if constraint.comparison == "<=" and constraint.metric in problem.static_metrics:
            return constraint
    raise NasError("band and shrink need a limit; give --constraint 'macs<=NUMBER', or set them to 0 and []")


def with_band(problem: Problem, band: float) -> Problem:
    """Return the problem with a lower bound at the share `band` of its limit."""
    limit = limit_of(problem)
    lower = Constraint(limit.metric, ">=", band * limit.bound)
    return replace(problem, constraints=[*problem.constraints, lower])


def draw_shrunk(problem: Problem, rng: np.random.Generator, band: float, fine: Collection[str]) -> Architecture:
    """Return a network that was brought under the limit step by step; it may have fallen below the band.

    The coarse decisions are drawn uniformly beside the largest choice of every fine one, until the network is not
    below the band; then one decision after the other goes one choice down until it is not above the limit.

    Args:
        fine: last words of the names of the fine decisions, such as ``heads`` and ``hidden``.
    """
    limit = limit_of(problem)
    for _ in range(_REDRAWS):
        architecture = _coarse(problem, rng, fine)
        value = problem.bounded_value(limit, architecture)
        if value >= band * limit.bound:
            break
    step = 0
    while value > limit.bound:
        smaller = _one_down(problem, architecture, rng, fine if step < _FINE_STEPS else ())
        if smaller is None:
            break
        architecture, step = smaller, step + 1
        value = problem.bounded_value(limit, architecture)
    return architecture


def _coarse(problem: Problem, rng: np.random.Generator, fine: Collection[str]) -> Architecture:
    choices: dict[str, Value] = {}
    for dimension in problem.space.searched:
        if dimension.is_active(choices):
            index = -1 if _is_fine(dimension, fine) else int(rng.integers(len(dimension.choices)))
            choices[dimension.name] = dimension.choices[index]
    return problem.space.architecture(choices, **problem.sizes)


def _one_down(
    problem: Problem, architecture: Architecture, rng: np.random.Generator, only: Collection[str]
) -> Architecture | None:
    """Lower one decision by one choice, one of `only` while there is any; None at the smallest network."""
    space = problem.space
    able = [d for d in space.active_dimensions(architecture) if architecture.choices[d.name] != d.choices[0]]
    pool = [d for d in able if _is_fine(d, only)] or able
    if not pool:
        return None
    dimension = pool[int(rng.integers(len(pool)))]
    lower = dimension.choices[list(dimension.choices).index(architecture.choices[dimension.name]) - 1]
    changed: dict[str, Value] = {}
    for candidate in space.dimensions:  # what hangs on the lowered decision may go with it
        if candidate.name in architecture.choices and candidate.is_active(changed):
            changed[candidate.name] = lower if candidate is dimension else architecture.choices[candidate.name]
    return space.architecture(changed, **problem.sizes)


def _is_fine(dimension: Dimension, fine: Collection[str]) -> bool:
    return dimension.name.rpartition(".")[2] in fine

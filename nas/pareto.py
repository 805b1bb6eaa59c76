"""Dominance, fronts, crowding and ranks over plain tuples; larger is better everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Scores = Sequence[Sequence[float]]


def front(scores: Scores) -> list[int]:
    """Return the indices of the points no other point dominates, in the order given.

    A point dominates another if it is at least as good everywhere and better somewhere; of equal points all stay.
    """
    return [index for index, rank in enumerate(domination_ranks(scores, fronts=1)) if rank == 0]


def domination_ranks(scores: Scores, fronts: int | None = None) -> list[int]:
    """Return for each point the number of its front: 0 for the Pareto front, 1 once that is removed, and so on.

    Args:
        fronts: number only so many fronts; all points behind them share the next number.
    """
    points = np.asarray(scores, dtype=float)
    if len(points) == 0:
        return []
    if points.shape[1] == 1:
        ranks = np.unique(-points[:, 0], return_inverse=True)[1]
        return [int(rank) for rank in np.minimum(ranks, fronts if fronts is not None else len(points))]
    beaten_by = _dominators(points)
    ranks = np.full(len(points), -1)
    rank = 0
    while (ranks < 0).any():
        left = ranks < 0
        here = left & ~beaten_by[:, left].any(axis=1) if fronts is None or rank < fronts else left
        ranks[here] = rank
        rank += 1
    return [int(rank) for rank in ranks]


def _dominators(points: np.ndarray) -> np.ndarray:
    """Return the (n, n) matrix whose entry (i, j) says that point j dominates point i."""
    as_good = np.ones((len(points), len(points)), dtype=bool)
    better = np.zeros_like(as_good)
    for column in points.T:
        as_good &= column[None, :] >= column[:, None]
        better |= column[None, :] > column[:, None]
    return as_good & better


def hypervolume(scores: Scores, reference: Sequence[float]) -> float:
    """Return the volume of everything that lies between the reference and at least one point, exactly.

    The points are cut into slices along the last axis. Meant for fronts: n points cost O(n log n) for two axes and
    about n times more for each further one.

    Args:
        scores: points; larger is better everywhere.
        reference: a point that is worse; points that are not better than it everywhere add nothing.

    >>> hypervolume([(1.0, 3.0), (2.0, 1.0)], (0.0, 0.0))
    4.0
    """
    points = [tuple(p) for p in scores if all(value > low for value, low in zip(p, reference, strict=True))]
    if not points:
        return 0.0
    if len(reference) == 1:
        return max(p[0] for p in points) - reference[0]
    points.sort(key=lambda p: -p[-1])
    if len(reference) == 2:
        return _area(points, reference)
    volume = 0.0
    for index, point in enumerate(points):
        below = points[index + 1][-1] if index + 1 < len(points) else reference[-1]
        if point[-1] > below:
            volume += (point[-1] - below) * hypervolume([p[:-1] for p in points[: index + 1]], reference[:-1])
    return volume


def _area(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """Return the hypervolume for two axes; the points come with the second axis falling."""
    area, widest = 0.0, reference[0]
    for x, y in points:
        if x > widest:
            area += (x - widest) * (y - reference[1])
            widest = x
    return area


def crowding(scores: Scores) -> list[float]:
    """Return the crowding distance of each point (Deb et al., NSGA-II, 2002); the ends of each axis are infinite."""
    points = np.asarray(scores, dtype=float)
    if len(points) == 0:
        return []
    distance = np.zeros(len(points))
    for axis in range(points.shape[1]):
        order = np.argsort(points[:, axis], kind="stable")
        values = points[order, axis]
        distance[order[[0, -1]]] = np.inf
        if values[-1] > values[0]:
            distance[order[1:-1]] += (values[2:] - values[:-2]) / (values[-1] - values[0])
    return [float(value) for value in distance]


def dense_ranks(values: Sequence[float]) -> list[int]:
    """Return ranks from 0 for the largest value; ties share a rank and leave no gap.

    >>> dense_ranks([3.0, 1.0, 3.0, 2.0])
    [0, 2, 0, 1]
    """
    place = {value: rank for rank, value in enumerate(sorted(set(values), reverse=True))}
    return [place[value] for value in values]


def best_index(scores: Scores) -> int:
    """Return the point to take when one must be taken: on the front, nearest to the best value of every axis.

    Axes are scaled to [0, 1] over the front; of equally near points the first is taken.
    """
    candidates = front(scores)
    points = np.asarray([scores[index] for index in candidates], dtype=float)
    span = points.max(axis=0) - points.min(axis=0)
    missing = (points.max(axis=0) - points) / np.where(span > 0, span, 1.0)
    return candidates[int(np.linalg.norm(missing, axis=1).argmin())]

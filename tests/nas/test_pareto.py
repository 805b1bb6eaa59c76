"""Fronts, ranks and crowding against the plain definitions."""

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from nas.pareto import best_index, crowding, dense_ranks, domination_ranks, front, hypervolume

points = st.integers(1, 3).flatmap(
    lambda n: st.lists(st.tuples(*[st.integers(0, 5).map(float)] * n), min_size=1, max_size=25)
)


def dominates(a, b):
    return all(x >= y for x, y in zip(a, b, strict=True)) and a != b


@given(points)
def test_front_is_what_nothing_dominates(scores):
    assert front(scores) == [i for i, a in enumerate(scores) if not any(dominates(b, a) for b in scores)]


@given(points)
def test_ranks_peel_fronts(scores):
    ranks = domination_ranks(scores)
    left, number = set(range(len(scores))), 0
    while left:
        here = {i for i in left if not any(dominates(scores[j], scores[i]) for j in left)}
        assert all(ranks[i] == number for i in here)
        left, number = left - here, number + 1
    capped = domination_ranks(scores, fronts=1)
    assert capped == [min(rank, 1) for rank in ranks]


@given(points)
def test_best_is_on_the_front(scores):
    assert best_index(scores) in front(scores)


def test_best_balances_the_ranks():
    assert best_index([(10, 0), (9, 9), (0, 10)]) == 1


def test_crowding_of_a_line():
    assert crowding([(0.0, 3.0), (1.0, 2.0), (3.0, 0.0)]) == [math.inf, 2.0, math.inf]
    assert crowding([]) == []


@given(st.lists(st.integers(0, 9).map(float), min_size=1))
def test_dense_ranks_leave_no_gap(values):
    ranks = dense_ranks(values)
    assert set(ranks) == set(range(len(set(values))))
    assert all((ranks[i] < ranks[j]) == (values[i] > values[j]) for i in range(len(values)) for j in range(len(values)))


@given(st.lists(st.tuples(*[st.integers(-1, 4)] * 3), min_size=1, max_size=8), st.integers(1, 3))
def test_hypervolume_counts_the_unit_boxes_below_the_points(points, axes):
    points = [tuple(map(float, point[:axes])) for point in points]
    boxes = itertools.product(range(4), repeat=axes)
    inside = sum(any(all(b < p for b, p in zip(box, point, strict=True)) for point in points) for box in boxes)
    assert hypervolume(points, (0.0,) * axes) == inside


def test_nothing_has_no_front():
    assert front([]) == []

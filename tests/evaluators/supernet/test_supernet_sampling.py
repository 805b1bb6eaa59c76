"""Which networks a step takes: draws without replacement, opening, rules, and generators of their own."""

import itertools
from collections import Counter

import numpy as np
import pytest
import supernet_spaces  # noqa: F401
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.supernet import supernet_recipe_for
from evaluators.supernet.rules import step_architectures
from evaluators.supernet.sampling import Elastic, open_count
from searchspaces import get_space

LARGEST = get_space("nested_toy").largest(image_size=8)
ELASTIC = Elastic.of(LARGEST, lambda architecture: architecture.choices["kernel"] == 3)


def recipe(**changes):
    return supernet_recipe_for("imagenet", {"choice_warmup_epochs": 0, "architectures": 3, **changes})


def test_choices_are_listed_from_the_largest_and_presence_twice():
    assert ELASTIC.entries["dim"] == (8, 6, 4)
    assert ELASTIC.entries["block2.present"] == (True, True, False, False)
    assert "kernel" not in ELASTIC.entries


@given(total=st.integers(2, 9), warmup=st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_choices_open_one_after_the_other(total, warmup):
    counts = [open_count(total, epoch, warmup) for epoch in range(warmup + 2)]
    assert counts[0] == 1
    assert counts[warmup] == counts[-1] == total
    assert all(later - earlier >= 0 for earlier, later in itertools.pairwise(counts))


def test_presence_is_kept_then_dropped_in_a_third_and_in_half_of_the_cases():
    shares = {}
    for epoch in (19, 20, 30):
        drawn = ELASTIC.draw(1200, np.random.default_rng(0), epoch, 30)
        shares[epoch] = sum(not a.choices["block2.present"] for a in drawn) / 1200
    assert shares == {19: 0.0, 20: pytest.approx(1 / 3), 30: pytest.approx(1 / 2)}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_dimension_is_drawn_without_replacement(count):
    for seed in range(20):
        drawn = ELASTIC.draw(count, np.random.default_rng(seed), 0, 0)
        values = Counter(architecture.choices["dim"] for architecture in drawn)
        assert max(values.values()) <= -(-count // 3)
        assert all(architecture.choices["kernel"] == 3 for architecture in drawn)


def test_draws_are_uniform():
    seen = Counter(ELASTIC.draw(2, np.random.default_rng(seed), 0, 0)[0].choices["dim"] for seed in range(900))
    assert all(240 < seen[dim] < 360 for dim in (4, 6, 8))


def test_multi_differs_by_process_and_single_does_not():
    draw = lambda rank, step, **changes: step_architectures(ELASTIC, recipe(**changes), rank, 2, step)  # noqa: E731
    assert draw(0, 5) == draw(0, 5)
    assert len({tuple(draw(rank, step)) for rank in range(3) for step in range(3)}) > 6
    assert draw(0, 5, rule="single") == draw(3, 5, rule="single")
    assert len(draw(0, 5, rule="single")) == 1


def test_a_sandwich_has_both_ends():
    largest, smallest, *drawn = step_architectures(ELASTIC, recipe(rule="sandwich"), 0, 0, 0)
    assert largest == LARGEST
    assert smallest.choices["dim"] == 4
    assert not smallest.choices["block2.present"]
    assert len(drawn) == 3
    opening = recipe(rule="sandwich", choice_warmup_epochs=30)
    assert set(step_architectures(ELASTIC, opening, 0, 0, 0)) == {LARGEST}

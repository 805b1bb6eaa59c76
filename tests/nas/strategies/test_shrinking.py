"""Networks just under a limit: the band holds for every candidate, and what hangs on a decision goes with it."""

import numpy as np
import pytest

from evaluators import Measurement
from hardware import network_cost
from nas.expressions import Objective, parse_constraint
from nas.problem import Problem
from nas.strategies import make_strategy
from nas.strategies.shrinking import draw_shrunk, limit_of, with_band
from nas.trial import Trial
from searchspaces import NasError, get_space

SIZES = {"image_size": 32, "in_channels": 3, "num_classes": 10}


def problem(bound="params<=1.6e6", space="asvit"):
    return Problem(
        get_space(space),
        SIZES,
        [Objective("params", "maximize")],
        [parse_constraint(bound)],
        frozenset({"params", "macs"}),
        lambda name, a: float(getattr(network_cost(a), name)),
    )


def test_every_network_of_a_search_lies_in_the_band():
    the_problem = problem()
    options = {"band": 0.95, "shrink": ["expansion"], "population": 12, "children": 8, "parents": 4}
    strategy = make_strategy("evolution", the_problem, {**options, "mutate_crossovers": False}, 0)
    for generation in range(3):
        asked = strategy.ask(strategy.batch)
        assert len(asked) == (12 if generation == 0 else 8)
        params = [network_cost(a).params for a in asked]
        assert all(0.95 * 1.6e6 <= p <= 1.6e6 for p in params)
        strategy.tell(
            [Trial(0, "search", a, {"params": Measurement(float(p), None)}) for a, p in zip(asked, params, strict=True)]
        )


def test_shrinking_starts_from_the_largest_fine_choices_and_ends_under_the_limit():
    rng = np.random.default_rng(0)
    wide = problem("params<=1e9")
    drawn = draw_shrunk(wide, rng, 0.0, ["expansion"])
    assert all(drawn.choices[f"stage{i}.expansion"] == 6 for i in (1, 2, 3, 4))
    for _ in range(20):
        assert network_cost(draw_shrunk(problem(), rng, 0.9, ["expansion"])).params <= 1.6e6


def test_shrinking_drops_what_hangs_on_an_absent_decision():
    toy = problem("params<=200", "toy")
    smallest = network_cost(toy.space.smallest(**SIZES)).params
    assert draw_shrunk(toy, np.random.default_rng(0), 0.0, []) == toy.space.smallest(**SIZES)
    assert smallest > 200


def test_a_band_needs_a_limit():
    the_problem = problem("params>=3")
    with pytest.raises(NasError, match="band and shrink need a limit"):
        limit_of(the_problem)
    assert [str(c) for c in with_band(problem("macs<=1e6"), 0.5).constraints] == ["macs<=1e+06", "macs>=500000"]

"""As-ViT's growth: candidates, filter, rank sum, ties, ends."""

import pytest

from nas.scaling.growth import Growth, pick
from nas.scaling.settings import ScalingSettings
from searchspaces import NasError, get_space

SEED = get_space("asvit").published()["asvit_seed"]


def growth(fits=lambda a: True, reached=lambda a: False, **settings):
    return Growth(SEED, ScalingSettings(**settings), ["maximize", "minimize"], fits, reached)


def test_first_candidates_are_those_of_the_paper():
    found = growth().candidates()
    assert len(found) == 12
    assert {c.proxy_width for c in found} == {8, 9, 10}
    assert {c.network.choices["width"] for c in found} == {32, 36, 40}
    assert {c.stage for c in found} == {1, 2, 3, 4}
    for candidate in found:
        depths = [candidate.network.choices.get(f"stage{i}.depth", 1) for i in (1, 2, 3, 4)]
        assert sum(depths) == 5
        assert depths[candidate.stage - 1] == 2
        assert candidate.proxy == candidate.network.replace(choices={"width": candidate.proxy_width})


def test_widths_round_half_to_even_and_drop_repeats():
    start = growth(proxy_width=10)
    assert start._widths() == [10, 11, 12]  # 10.5, 11.0, 11.5, 12.0


def test_only_what_fits_is_a_candidate_and_growth_ends_when_nothing_does():
    start = growth(fits=lambda a: a.choices.get("width", 32) <= 36)
    found = start.candidates()
    assert {c.network.choices["width"] for c in found} == {32, 36}
    none = growth(fits=lambda a: "width" not in a.choices)
    assert none.candidates() == []


def test_a_seed_that_is_too_large_is_an_error():
    with pytest.raises(NasError, match="scale_to: the unscaled network"):
        growth(fits=lambda a: False)


def test_accepts_step_by_step_until_reached():
    grown = growth(reached=lambda a: a.choices["width"] >= 40)
    family = []
    while found := grown.candidates():
        values = [(float(c.proxy_width), 1.0) for c in found]  # the wider the longer
        family.append(grown.accept(found, values))
    assert [c.proxy_width for c in family] == [10]
    assert grown.steps == 1


def test_every_step_adds_one_block():
    grown = growth(max_steps=6)
    depths = []
    while found := grown.candidates():
        accepted = grown.accept(found, [(float(i), 1.0) for i in range(len(found))])
        depths.append(sum(accepted.network.choices[f"stage{i}.depth"] for i in (1, 2, 3, 4)))
    assert depths == [5, 6, 7, 8, 9, 10]


def test_failed_candidates_are_passed_over_and_all_failed_ends():
    grown = growth()
    found = grown.candidates()
    accepted = grown.accept(found, [None] * 11 + [(0.0, 9.0)])
    assert accepted == found[11]
    again = grown.candidates()
    assert grown.accept(again, [None] * len(again)) is None
    assert grown.candidates() == []


@pytest.mark.parametrize(
    ("values", "tie", "expected"),
    [
        ([(1.0, 5.0), (3.0, 1.0), (2.0, 9.0)], "better", 1),  # best in both
        ([(1.0, 1.0), (9.0, 1.1)], "better", 1),  # equal sums: length spreads most, larger is better
        ([(1.0, 1.0), (9.0, 1.1)], "authors", 0),  # as coded: the smaller value wins
        ([(1.0, 1.0), (1.1, 9.0)], "better", 0),  # ntk spreads most, smaller is better
        ([(1.0, 1.0), (1.1, 9.0)], "authors", 0),
        ([(2.0, 2.0)], "better", 0),
        ([(2.0, 2.0), (2.0, 2.0)], "better", 0),
    ],
)
def test_rank_sum_and_ties(values, tie, expected):
    assert pick(values, [1, -1], tie) == expected


def test_dense_ranks_share_places():
    # length ranks 0 0 1, ntk ranks 1 0 0: the middle one wins
    assert pick([(5.0, 2.0), (5.0, 1.0), (4.0, 1.0)], [1, -1], "better") == 1

"""The small language of flags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.expressions import Constraint, parse_constraint, parse_duration, parse_number
from searchspaces import NasError


@pytest.mark.parametrize(
    ("text", "value"), [("30e6", 30e6), ("30M", 30e6), ("1.8G", 1.8e9), ("10k", 1e4), ("-2", -2.0), ("1.5e-3", 0.0015)]
)
def test_numbers(text, value):
    assert parse_number(text, "here") == value


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e999", "1.2.3", "30 M", "1e", "--3"])
def test_no_numbers(text):
    with pytest.raises(NasError, match=r"here: .* is not a number"):
        parse_number(text, "here")


@given(st.floats(1, 1e15), st.sampled_from(["<=", ">="]))
def test_constraints_hold_or_are_violated(bound, comparison):
    constraint = parse_constraint(f"params {comparison} {bound!r}")
    assert constraint == Constraint("params", comparison, bound)
    for value in (bound / 2, bound, bound * 2):
        assert constraint.holds(value) == (constraint.violation(value) <= 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("params", "is not of the form METRIC<=NUMBER"),
        ("params<30e6", "is not of the form"),
        ("params==30e6", "is not of the form"),
        ("params<=lots", "'lots' is not a number"),
        ("params<=nan", "'nan' is not a number"),
        ("params<=-3", "the bound must be positive"),
        ("parms<=3e6", "unknown metric 'parms'; did you mean 'params'"),
    ],
)
def test_mistakes_in_constraints(text, message):
    with pytest.raises(NasError, match=message):
        parse_constraint(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172800), ("45", 45), ("1.5m", 90), ("5min", 300)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-5m", "soon", "10x", "5m!", "nan"])
def test_no_durations(text):
    with pytest.raises(NasError, match="is not a duration; write 90s, 10m or 1h30m"):
        parse_duration(text)

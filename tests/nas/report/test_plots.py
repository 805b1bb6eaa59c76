"""Plots: what is drawn, how it is embedded, and what importance says."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from report_runs import written_run

from evaluators import Measurement
from nas.expressions import Objective
from nas.report import plots, series
from nas.report.contents import read_contents
from nas.report.images import INK, inline_svg, png
from nas.report.importance import importances
from nas.report.plots import Panel, Point
from nas.trial import Trial
from searchspaces import get_space

ASVIT = get_space("asvit")


def _trials(count: int) -> list[Trial]:
    """Random networks, worth what stage 4 makes of them."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        architecture = ASVIT.sample(rng)
        value = 10.0 * int(architecture.choices["stage4.expansion"]) + int(architecture.choices["stage4.kernel"])
        value += rng.random() / 10  # no ties
        found.append(Trial(number, "search", architecture, {"worth": Measurement(value)}))
    return found


def test_importance_finds_the_decisions_that_matter() -> None:
    """The value hangs on two decisions, on one of them far more."""
    shares = importances(ASVIT, _trials(300), Objective("worth", "maximize"))
    assert isinstance(shares, dict)
    assert list(shares)[:2] == ["stage4.expansion", "stage4.kernel"]
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["stage4.expansion"] + shares["stage4.kernel"] > 0.7


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_importance_agrees_with_optuna(direction: str) -> None:
    """Optuna's evaluator names the same two first; its kernels smooth more, so shares differ."""
    import optuna

    trials = _trials(300)
    names = {dimension.name: list(dimension.choices) for dimension in ASVIT.searched}
    distributions = {name: optuna.distributions.CategoricalDistribution(values) for name, values in names.items()}
    study = optuna.create_study(direction=direction)
    study.add_trials(
        optuna.trial.create_trial(
            value=trial.value("worth"),
            params={name: trial.architecture.choices[name] for name in names},
            distributions=dict(distributions),
        )
        for trial in trials
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    ours = importances(ASVIT, trials, Objective("worth", direction))  # type: ignore[arg-type]
    assert isinstance(ours, dict)
    assert set(list(ours)[:2]) == set(list(theirs)[:2]) == {"stage4.expansion", "stage4.kernel"}


def test_importance_says_why_there_is_none() -> None:
    """Too few networks, or nothing that differs."""
    assert "at least 30" in str(importances(ASVIT, _trials(5), Objective("worth", "maximize")))
    same = [Trial(t.number, "search", t.architecture, {"worth": Measurement(1.0)}) for t in _trials(40)]
    assert "same worth" in str(importances(ASVIT, same, Objective("worth", "maximize")))


def test_history_marks_failed_and_infeasible(tmp_path: Path) -> None:
    """The best so far only follows networks that may be taken."""
    run = written_run(tmp_path / "run", [0.2, None, 0.9, 0.4], constraint=["toy_score<=0.5"])
    (panel,) = series.history_panels(read_contents(run))
    assert [point.kind for point in panel.points] == ["measured", "infeasible", "measured"]
    assert panel.failed == [1]
    assert panel.line == [(0, 0.2), (3, 0.4), (3, 0.4)]
    (scatter,) = series.pareto_panels(read_contents(run))
    assert scatter is not None
    assert [point.kind for point in scatter.points] == ["measured", "infeasible", "best"]
    assert (scatter.x, scatter.y) == ("params", "toy_score")


def test_figures_are_png_and_inline_svg() -> None:
    """The SVG is one element, takes the page's colour, shares no id with another plot and loads nothing."""
    points = [Point(1, 2e6), Point(2, 3e6, "accepted", "a <b> $x$ & c"), Point(3, 5, "infeasible")]
    panel = Panel("title <i>", "trial", "params", points, [(1, 2e6), (2, 3e6)], "best", [4], True, True)
    figures = [plots.history([panel, panel]), plots.scatter(panel), plots.family(panel)]
    figures += [plots.importance({"a$b": 0.7, "c": 0.3}, "x"), plots.clock([1, 2, 300], 400), plots.cpu({"a": 3.0})]
    seen: set[str] = set()
    for number, figure in enumerate(figures):
        assert png(figure).startswith(b"\x89PNG")
        svg = inline_svg(figure, f"plot{number}", "what <it> shows")
        tree = ElementTree.fromstring(svg)
        ids = re.findall(r'\bid="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert not seen.intersection(ids)
        seen.update(ids)
        for reference in re.findall(r'(?:url\(|href=")#([^")]+)', svg):
            assert reference in ids
        assert tree[0].tag == "title"
        assert tree[0].text == "what <it> shows"
        assert INK not in svg
        assert "currentColor" in svg
        assert "<style" not in svg
        assert "http" not in svg
    assert "a &lt;b&gt; $x$ &amp; c" in inline_svg(figures[1], "again", "")


def test_equal_data_gives_equal_plots() -> None:
    """Reports can be compared with a diff."""
    panel = Panel("t", "trial", "y", [Point(0, 1), Point(1, 2)])
    first, second = (inline_svg(plots.scatter(panel), "p", "l") for _ in range(2))
    assert first == second


def test_plots_leave_the_settings_of_matplotlib_alone() -> None:
    """A notebook that calls the report keeps its own style."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    png(plots.scatter(Panel("t", "trial", "y", [Point(0, 1)])))
    assert dict(matplotlib.rcParams) == before

"""The figures of one run, by the name of their file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.report import plots, series
from nas.report.contents import Contents

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_figures(contents: Contents) -> dict[str, tuple[Figure, str]]:
    """Return file name to the figure and one sentence on what it shows; a run without trials has none."""
    figures: dict[str, tuple[Figure, str]] = {}
    if panels := series.history_panels(contents):
        figures["history"] = plots.history(panels), "The objectives of every trial in the order they were measured"
    for number, panel in enumerate(series.pareto_panels(contents)):
        name = _name("pareto", number)
        figures[name] = plots.scatter(panel), f"{panel.y} against {panel.x} for every measured network"
    for number, (objective, shares) in enumerate(contents.importances):
        if not isinstance(shares, str):
            name = _name("importance", number)
            figures[name] = plots.importance(shares, objective.metric), f"Importance of each decision for {objective}"
    for number, panel in enumerate(series.family_panels(contents)):
        figures[_name("family", number)] = plots.family(panel), f"{panel.y} of the scaling against the parameters"
    if contents.trials:
        limit = contents.config.budget_seconds
        figures["clock"] = plots.clock(series.wall_clock(contents), limit), "Wall-clock time over the trials"
        figures["cpu"] = plots.cpu(contents.cpu_seconds), "CPU time per metric"
    return figures


def _name(first: str, number: int) -> str:
    """Return the name of the first, second, ... plot of a kind."""
    return first if number == 0 else f"{first}-{number + 1}"

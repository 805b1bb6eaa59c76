"""Figures over plain data. They know nothing of runs: `nas.report.series` gives them what to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nas.report.images import INK, plot_style
from nas.report.wording import COUNTS, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["measured", "infeasible", "front", "best", "accepted"]

_WIDTH = 6.2  # inches; legible at half the width of a page and on a phone
_BLUE, _ORANGE, _RED, _GREY = "#4a7fd6", "#dd8431", "#d05252", "#8a94a3"
_MARKS: dict[Kind, dict[str, Any]] = {
    "measured": {"marker": "o", "s": 16, "color": _BLUE, "alpha": 0.8, "linewidths": 0, "label": "measured"},
    "infeasible": {"marker": "x", "s": 18, "color": _GREY, "linewidths": 1.1, "label": "breaks a constraint"},
    "front": {"marker": "o", "s": 34, "color": _ORANGE, "linewidths": 0, "label": "front", "zorder": 3},
    "best": {"marker": "*", "s": 120, "color": _ORANGE, "linewidths": 0, "label": "winner of the search", "zorder": 3},
    "accepted": {"marker": "D", "s": 30, "color": _ORANGE, "linewidths": 0, "label": "accepted", "zorder": 3},
}


@dataclass(frozen=True)
class Point:
    """One network in a plot; `text` is written beside it."""

    x: float
    y: float
    kind: Kind = "measured"
    text: str = ""


@dataclass(frozen=True)
class Panel:
    """Points over an axis, for `history`, `scatter` and `family`.

    Args:
        x, y: names of the axes; counts such as params get axes with prefixes.
        line: points joined by a line: the running best, or the front.
        line_label: what that line is; empty where the points on it say so.
        failed: positions on the x axis of trials without a value.
        staircase: draw the line as a staircase.
        whole: whole numbers along x.
    """

    title: str
    x: str
    y: str
    points: Sequence[Point]
    line: Sequence[tuple[float, float]] = ()
    line_label: str = ""
    failed: Sequence[float] = field(default=())
    staircase: bool = False
    whole: bool = False


def history(panels: Sequence[Panel]) -> Figure:
    """Draw one panel per objective of the search and per measure of the scaling, one below the other."""
    return _stack(panels, height=2.35 if len(panels) > 1 else 3.4)


def scatter(panel: Panel) -> Figure:
    """Draw one objective over another, or over the size where there is one objective only."""
    return _stack([panel], height=3.9)


def family(panel: Panel) -> Figure:
    """Draw a measure of the scaling over the parameters, with the depths and the width of each accepted step."""
    return _stack([panel], height=3.4)


def importance(shares: Mapping[str, float], objective: str) -> Figure:
    """Draw the importance of each decision as a bar.

    Args:
        shares: dimension to importance, largest first; the first twenty are drawn.
    """
    shown = list(shares.items())[:20]
    figure, axes = _figure(1, 0.8 + 0.26 * len(shown))
    with plot_style():
        axes[0].barh([name for name, _ in shown], [share for _, share in shown], color=_BLUE, height=0.68)
        axes[0].invert_yaxis()
        axes[0].grid(axis="y", visible=False)
        axes[0].set_title(f"Importance for {objective}, as a share")
    return figure


def clock(seconds: Sequence[float], limit: float | None = None) -> Figure:
    """Draw the wall clock of a run at the end of each trial.

    Args:
        seconds: of the run so far, one per trial.
        limit: the budget in seconds, if there is one.
    """
    figure, (axes,) = _figure(1, 2.6)
    unit, name = (60.0, "minutes") if max(seconds, default=0.0) > 180 else (1.0, "seconds")
    with plot_style():
        axes.plot(range(1, len(seconds) + 1), [value / unit for value in seconds], color=_BLUE)
        if limit is not None:
            axes.axhline(limit / unit, color=_RED, linestyle="--", label="budget")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("trials")
        axes.set_ylabel(name)
        axes.set_title("Wall clock")
        if limit is not None:
            _legend(axes)
        _whole_ticks(axes)
    return figure


def cpu(seconds: Mapping[str, float]) -> Figure:
    """Draw the CPU seconds of each metric, over all workers."""
    figure, (axes,) = _figure(1, 1.1 + 0.35 * len(seconds))
    names = sorted(seconds, key=lambda metric: -seconds[metric])
    with plot_style():
        bars = axes.barh(names, [seconds[metric] for metric in names], color=_BLUE, height=0.6)
        axes.bar_label(bars, [duration(seconds[metric]) for metric in names], padding=4, fontsize=10)
        axes.margins(x=0.18)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("seconds")
        axes.set_title("CPU time per metric, all workers together")
    return figure


def _figure(rows: int, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels, each `height` inches high; no global state of matplotlib is touched."""
    from matplotlib.figure import Figure

    with plot_style():
        figure = Figure(figsize=(_WIDTH, height * rows + 0.3), layout="constrained")
        axes = figure.subplots(rows, 1, squeeze=False)
    return figure, [row[0] for row in axes]


def _stack(panels: Sequence[Panel], height: float) -> Figure:
    figure, axes = _figure(len(panels), height)
    with plot_style():
        for panel, place in zip(panels, axes, strict=True):
            _draw(panel, place)
    return figure


def _draw(panel: Panel, axes: Axes) -> None:
    from matplotlib.ticker import EngFormatter

    if panel.line:
        xs, ys = zip(*panel.line, strict=True)
        style: Any = "steps-post" if panel.staircase else "default"
        axes.plot(xs, ys, color=_ORANGE, linewidth=1.6, drawstyle=style, label=panel.line_label or "_", zorder=2.5)
    for kind, mark in _MARKS.items():
        if chosen := [point for point in panel.points if point.kind == kind]:
            axes.scatter([point.x for point in chosen], [point.y for point in chosen], **mark)
    if panel.failed:
        bottom = axes.get_xaxis_transform()
        axes.plot(panel.failed, [0.03] * len(panel.failed), "|", color=_RED, ms=9, transform=bottom, label="failed")
    for point in panel.points:
        if point.text:
            axes.annotate(
                point.text,
                (point.x, point.y),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                color=INK,
            )
    if any(point.text for point in panel.points):
        axes.margins(x=0.12, y=0.2)  # room for the texts
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    _scale(axes, [point.y for point in panel.points])
    if panel.whole:
        _whole_ticks(axes)
    for name, axis in ((panel.x, axes.xaxis), (panel.y, axes.yaxis)):
        if name in COUNTS:
            axis.set_major_formatter(EngFormatter())
    if axes.get_legend_handles_labels()[0] and (len(panel.points) > 1 or panel.failed):
        _legend(axes)


def _legend(axes: Axes) -> None:
    """Put the legend between title and axes, where it hides nothing."""
    place: Any = {"loc": "lower left", "bbox_to_anchor": (-0.01, 0.98), "borderaxespad": 0.2}
    axes.legend(ncols=4, columnspacing=1.0, handletextpad=0.4, **place)
    axes.set_title(axes.get_title(loc="left"), pad=20)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Use a logarithmic axis where a linear one would press most values onto its bottom."""
    if values and min(values) > 0 and max(values) / min(values) > 100:
        axes.set_yscale("log")


def _whole_ticks(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))

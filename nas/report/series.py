"""From the contents of a run to the plain data of its plots."""

from __future__ import annotations

from nas.expressions import Objective
from nas.report.contents import Contents, elapsed
from nas.report.plots import Kind, Panel, Point
from nas.trial import Trial


def history_panels(contents: Contents) -> list[Panel]:
    """Return the values of each objective over the search, then those of each measure over the scaling."""
    panels = [_search_panel(contents, objective) for objective in contents.problem.objectives if contents.search]
    if contents.scale and contents.scale_problem is not None:
        panels += [_scale_panel(contents, objective) for objective in contents.scale_problem.objectives]
    return panels


def pareto_panels(contents: Contents) -> list[Panel]:
    """Return the first objective against each other one, or the only one over params; none without values."""
    others = contents.problem.objectives[1:]
    found = [_pareto_panel(contents, other) for other in others] or [_pareto_panel(contents, None)]
    return [panel for panel in found if panel is not None]


def _pareto_panel(contents: Contents, other: Objective | None) -> Panel | None:
    first, *others = contents.problem.objectives
    across = other.metric if other is not None else ("macs" if first.metric == "params" else "params")
    marked: dict[int, Kind] = {trial.number: "front" for trial in contents.front} if others else {}
    if contents.seed is not None and not others:
        marked[contents.seed.number] = "best"
    feasible = _feasible(contents)
    points = [
        Point(trial.value(across), trial.value(first.metric), marked.get(trial.number) or _kind(trial, feasible))
        for trial in contents.search
        if trial.failure is None
    ]
    if not points:
        return None
    line = sorted((point.x, point.y) for point in points if point.kind == "front") if len(others) == 1 else []
    title = f"{first}, {other}" if other is not None else f"{first.metric} against {across}"
    return Panel(title, across, first.metric, points, line)


def family_panels(contents: Contents) -> list[Panel]:
    """Return each measure over the parameters of the real networks; accepted steps carry depths and width."""
    if contents.scale_problem is None or not contents.scale:
        return []
    accepted = {trial.number for trial in contents.family}
    panels = []
    for objective in contents.scale_problem.objectives:
        if objective.metric == "params":
            continue
        points = [
            Point(
                trial.value("params"),
                trial.value(objective.metric),
                "accepted" if trial.number in accepted else "measured",
                shape_text(trial) if trial.number in accepted and len(accepted) <= 6 else "",
            )
            for trial in contents.scale
            if trial.failure is None
        ]
        line = [(p.x, p.y) for p in points if p.kind == "accepted"]
        if points:
            panels.append(Panel(str(objective), "params", objective.metric, points, line))
    return panels


def wall_clock(contents: Contents) -> list[float]:
    """Return the wall-clock seconds of the run at the end of each trial."""
    return [elapsed(trial) for trial in contents.trials]


def shape_text(trial: Trial) -> str:
    """Return depths and width of a scaled network, such as ``3-1-4-2, C 88``."""
    choices = trial.architecture.choices
    depths = [str(value) for name, value in choices.items() if name.endswith(".depth")]
    width = [f"C {choices['width']}"] if "width" in choices else []
    return ", ".join(["-".join(depths) or "1", *width])


def _search_panel(contents: Contents, objective: Objective) -> Panel:
    feasible = _feasible(contents)
    measured = [trial for trial in contents.search if trial.failure is None]
    points = [Point(t.number, t.value(objective.metric), _kind(t, feasible)) for t in measured]
    best: list[tuple[float, float]] = []
    for point in points:
        if point.kind == "measured" and (not best or objective.sign * (point.y - best[-1][1]) > 0):
            best.append((point.x, point.y))
    if best:
        best.append((contents.search[-1].number, best[-1][1]))
    failed = [trial.number for trial in contents.search if trial.failure is not None]
    title = f"Search: {objective}"
    return Panel(title, "trial", objective.metric, points, best, "best so far", failed, staircase=True, whole=True)


def _scale_panel(contents: Contents, objective: Objective) -> Panel:
    accepted = {trial.number for trial in contents.family}
    points = [
        Point(_step(t), t.value(objective.metric), "accepted" if t.number in accepted else "measured")
        for t in contents.scale
        if t.failure is None
    ]
    line = [(point.x, point.y) for point in points if point.kind == "accepted"]
    failed = [_step(trial) for trial in contents.scale if trial.failure is not None]
    title = f"Scaling: {objective}"
    across = "step" if contents.exact(objective.metric) else "step (values of narrow proxies)"
    return Panel(title, across, objective.metric, points, line, failed=failed, whole=True)


def _step(trial: Trial) -> float:
    return float(trial.attributes.get("step", trial.number))


def _feasible(contents: Contents) -> set[int]:
    return {trial.number for trial in contents.problem.feasible(contents.search)}


def _kind(trial: Trial, feasible: set[int]) -> Kind:
    return "measured" if trial.number in feasible else "infeasible"

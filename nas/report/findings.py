"""The sections of the page that say what was found: the winner, the best networks, the family of the scaling."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from evaluators import Measurement
from nas.costs import error_text, predicted_costs
from nas.problem import Hypervolume
from nas.report.contents import Contents, proxy_width
from nas.report.markup import Markup, code, command, element, facts, folded, paragraph, plot, section, table, warning
from nas.report.series import shape_text
from nas.report.svg import svg_drawing, svg_thumbnail
from nas.report.wording import NOTHING, plain, plural, quantity
from nas.trial import Trial
from searchspaces import Architecture, get_space

_MOST_ROWS = 30  # of a Pareto front in the page; pareto/ holds all of it


def winner_section(contents: Contents) -> Markup:
    """Return the network to use, drawn, with its values and how to train it; or why there is none."""
    winner = contents.winner
    if winner is None:
        return section("The winner", warning(_why_none(contents))) if contents.trials else Markup("")
    architecture = winner.architecture
    scaled = bool(contents.family)
    pairs: list[tuple[str, object]] = [("Trial", f"{winner.number} of the {'scaling' if scaled else 'search'}")]
    if short := _notation(architecture):
        pairs.append(("Notation", code(short)))
    if scaled and contents.seed is not None and (short := _notation(contents.seed.architecture)):
        pairs.append(("Scaled from", code(short)))
    rows = [_value_row(name, measurement) for name, measurement in winner.measurements.items()]
    columns = ("metric", "value", "spread", "repeats") if any(row[3] for row in rows) else ("metric", "value")
    details = [facts(pairs), table(columns, [row[: len(columns)] for row in rows], numeric=(1, 2, 3))]
    if note := _proxy_note(contents, [winner]):
        details.append(note)
    details += _use(contents)
    drawing = element("figure", Markup(svg_drawing(architecture)))
    pair = element("div", drawing, element("div", *details), class_="pair")
    stated = _stated_errors(contents, architecture)
    return section("The winner", pair, *([] if stated is None else [paragraph("Predicted by the targets:"), stated]))


def best_section(contents: Contents) -> Markup:
    """Return the best networks of the search, or its Pareto front, with thumbnails that unfold."""
    if not contents.front:
        return Markup("")
    problem = contents.problem
    names = [objective.metric for objective in problem.objectives]
    names += [constraint.metric for constraint in problem.constraints]
    names = list(dict.fromkeys([*names, "params", "macs"]))
    several = len(problem.objectives) > 1
    volume = problem.hypervolume(contents.search)
    rows = [
        [
            trial.number,
            _folded_drawing(trial.architecture),
            *(_cell(trial, name) for name in names),
            *([f"{volume.alone.get(trial.number, 0.0):.3f}"] if volume is not None else []),
        ]
        for trial in contents.front[:_MOST_ROWS]
    ]
    columns = ["trial", "network", *names, *(["hypervolume"] if volume is not None else [])]
    count = plural(len(contents.front), "network")
    text = f"The Pareto front of the search: {count}." if several else f"The best {count} of the search."
    if len(contents.front) > _MOST_ROWS:
        text += f" The first {_MOST_ROWS} are shown."
    if several and (contents.path / "pareto").is_dir():
        text += " Each is a file in pareto/."
    heading = "Pareto front" if several else "Best networks"
    shown = table(columns, rows, (0, *range(2, len(columns))))
    return section(heading, paragraph(text), shown, *([] if volume is None else [_volume_note(volume)]))


def _volume_note(volume: Hypervolume) -> Markup:
    corner = ", ".join(f"{name} {quantity(name, value)}" for name, value in volume.worst.items())
    text = (
        f"Hypervolume of the front: {volume.share:.3f} of the box between the worst feasible values ({corner}) and the "
        "best ones; the column has what each network alone adds."
    )
    return paragraph(text, note=True)


def family_section(contents: Contents, plots: Mapping[str, Markup]) -> Markup:
    """Return the accepted steps of the scaling, or, of a run that was killed, how far its candidates came."""
    if contents.scale_problem is None or not contents.scale:
        return Markup("")
    measures = [objective.metric for objective in contents.scale_problem.objectives]
    names = list(dict.fromkeys(["params", "macs", *measures]))
    pieces: list[Markup] = []
    if contents.family:
        rows = [
            [
                t.attributes.get("step", NOTHING),
                shape_text(t),
                proxy_width(t) or NOTHING,
                _folded_drawing(t.architecture),
                *(_cell(t, name) for name in names),
            ]
            for t in contents.family
        ]
        columns = ("step", "depths, width", "proxy width", "network", *names)
        steps = plural(len(contents.family), "step")
        text = f"{steps} accepted out of {plural(len(contents.scale), 'candidate')}. Each is a network in family/."
        pieces += [paragraph(text), table(columns, rows, (0, 2, *range(4, 4 + len(names))))]
    else:
        text = "measured; which of them were accepted is written when the run ends."
        pieces.append(paragraph(f"{plural(len(contents.scale), 'candidate')} {text}"))
    if note := _proxy_note(contents, contents.scale):
        pieces.append(note)
    if drawn := [plot(svg) for name, svg in plots.items() if name.startswith("family")]:
        pieces.append(element("div", *drawn, class_="plots"))
    return section("The family", *pieces)


def _why_none(contents: Contents) -> str:
    measured = [trial for trial in contents.search if trial.failure is None]
    if not measured:
        return f"There is none: every one of the {plural(len(contents.search), 'network')} failed; see Failures below."
    return f"There is none: none of the {plural(len(measured), 'measured network')} met every constraint; see below."


def _use(contents: Contents) -> list[Markup]:
    """Return how to go on with the winner."""
    if not contents.has_best:
        text = "The run writes best.json when it ends; until then this is the best network so far."
        return [paragraph(text, note=True)]
    file = shlex.quote(str(contents.path / "best.json"))
    return [paragraph("Train it, here on the digits of scikit-learn:"), command(f"nas train {file} --data digits")]


def _value_row(name: str, measurement: Measurement) -> tuple[str, str, str, str]:
    several = len(measurement.repeats) > 1
    spread = f"±{measurement.spread:.2g}" if several else ""
    return name, quantity(name, measurement.value), spread, str(len(measurement.repeats)) if several else ""


def _stated_errors(contents: Contents, architecture: Architecture) -> Markup | None:
    """Return what the targets of the search say of their own predictions; None where there was no target."""
    rows = [
        (f"{name}@{cost['target']}", quantity(name, said["value"]), said["basis"], error_text(said), said["note"])
        for cost in predicted_costs(contents.config, architecture)
        for name, said in cost.items()
        if isinstance(said, dict)
    ]
    return table(("predicted", "value", "basis", "error", "note"), rows, (1,)) if rows else None


def _cell(trial: Trial, metric: str) -> str:
    measurement = trial.measurements.get(metric)
    return quantity(metric, None if measurement is None else measurement.value)


def _proxy_note(contents: Contents, trials: list[Trial]) -> Markup | None:
    """Say which values belong to a narrower network than the one they stand beside."""
    widths = [width for trial in trials if (width := proxy_width(trial)) is not None]
    if contents.scale_problem is None or not widths:
        return None
    names = [o.metric for o in contents.scale_problem.objectives if not contents.exact(o.metric)]
    if not names:
        return None
    low, high = min(widths), max(widths)
    proxies = f"the narrow proxy of width C = {low}" if low == high else f"narrow proxies of width C = {low} to {high}"
    text = (
        f"Measured on {proxies}, as As-ViT does while scaling, not on the real network: {', '.join(names)}. "
        "Do not compare these values with those of the search. Sizes are those of the real network."
    )
    return paragraph(text, note=True)


def _notation(architecture: Architecture) -> str | None:
    return get_space(architecture.space).notation(architecture)


def _folded_drawing(architecture: Architecture) -> Markup:
    """Return the thumbnail and the notation of a network; unfolded, its drawing."""
    short = _notation(architecture) or ", ".join(plain(value) for value in architecture.choices.values())
    label = element("span", Markup(svg_thumbnail(architecture)), code(short), class_="network-label")
    return folded(label, Markup(svg_drawing(architecture)))

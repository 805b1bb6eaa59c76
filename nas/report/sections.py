"""The sections of the page that say what was asked and how the run went; `nas.report.findings` has the results."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from nas.report.contents import Contents
from nas.report.findings import best_section, family_section, winner_section
from nas.report.markup import Markup, code, element, facts, folded, paragraph, plot, section, table, warning
from nas.report.wording import NOTHING, TIMES, duration, plain, plural, quantity

_MOST_REASONS = 12


def page_sections(contents: Contents, plots: Mapping[str, Markup]) -> tuple[str, list[Markup]]:
    """Return the title of the page and its sections.

    Args:
        plots: name to inline SVG, of the plots there are.
    """
    config = contents.config
    built = [
        _heading(contents),
        winner_section(contents),
        _plan(contents),
        best_section(contents),
        family_section(contents, plots),
        _search(contents, plots),
        _spent(contents, plots),
        _failures(contents),
        _configuration(contents),
    ]
    return f"{config.space}, {config.strategy}, seed {config.seed}", [piece for piece in built if piece]


def _heading(contents: Contents) -> Markup:
    config = contents.config
    versions = ", ".join(f"{name} {version}" for name, version in contents.versions.items())
    tiles = [(f"{contents.searched:,}", "networks searched")]
    if config.scales:
        tiles.append((f"{len(contents.scale):,}", "candidates while scaling"))
    tiles.append((f"{sum(contents.failures.values()):,}", "failed"))
    tiles.append((duration(contents.seconds), "wall clock"))
    return element(
        "header",
        element("p", "Architecture search", class_="kicker"),
        element("h1", config.space, element("span", f" by {config.strategy}")),
        paragraph(f"Run {contents.path.resolve().name}, seed {config.seed}. {versions}", note=True),
        element("ul", *(element("li", element("b", n), element("span", what)) for n, what in tiles), class_="tiles"),
        _state(contents),
    )


def _state(contents: Contents) -> Markup:
    """Say how far the run came where it did not do all it was asked."""
    config, limit = contents.config, contents.config.budget_seconds
    resume = code(f"nas resume {shlex.quote(str(contents.path))}")
    if not contents.trials:
        return warning("Nothing has been measured yet. Start the search with ", resume, ".")
    if limit is not None and contents.seconds >= limit:
        return paragraph(f"The budget of {config.budget} is spent.")
    if config.trials is not None and contents.searched < config.trials:
        done = f"{contents.searched:,} of {plural(config.trials, 'network')} were measured: "
        reason = "the run was interrupted, or there were no new networks left to try. Continue with "
        return warning(done, reason, resume, ".")
    if contents.seed is not None and (not contents.has_best or (config.scales and not contents.family)):
        return warning("The run has not come to its end. Continue with ", resume, ".")
    return Markup("")


def _plan(contents: Contents) -> Markup:
    config = contents.config
    sizes = (config.in_channels, config.image_size, config.image_size)
    limits = [plural(config.trials, "network")] if config.trials is not None else []
    limits += [f"{config.budget} of wall clock"] if config.budget is not None else []
    pairs: list[tuple[str, object]] = [
        ("Objectives", ", ".join(str(objective) for objective in config.objectives)),
        ("Constraints", ", ".join(str(constraint) for constraint in config.constraints) or "none"),
        ("Budget", ", ".join(limits)),
        ("Space", f"{config.space}, {contents.problem.space.size():,} networks"),
        ("Input", f"{TIMES.join(str(size) for size in sizes)}, {config.num_classes:,} classes"),
        ("Strategy", config.strategy + _options(config.strategy_options)),
    ]
    for name, settings in config.metrics.items():
        if name in config.make_metrics() or (config.scales and name in config.scaling_settings.measures):
            pairs.append((f"Metric {name}", _options(settings).removeprefix(": ")))
    if contents.scale_problem is not None:
        measures = ", ".join(str(objective) for objective in contents.scale_problem.objectives)
        pairs.append(("Scaling", f"to {config.scale_to}, ranked by {measures}"))
    return section("The plan", facts(pairs))


def _options(options: Mapping[str, object]) -> str:
    return ": " + ", ".join(f"{name} {plain(value)}" for name, value in options.items()) if options else ""


def _search(contents: Contents, plots: Mapping[str, Markup]) -> Markup:
    """Return the course of the search: history, trade-off and importance of the decisions."""
    if not contents.trials:
        return Markup("")
    drawn = [plot(svg) for name, svg in plots.items() if name.startswith(("history", "pareto", "importance"))]
    notes = [
        paragraph(f"{objective}: {reason}", note=True)
        for objective, reason in contents.importances
        if isinstance(reason, str)
    ]
    if any(name.startswith("importance") for name in plots):
        text = (
            "Importance is by PED-ANOVA: how much a decision sets the best tenth of the measured networks apart from "
            "all of them. A strategy that narrows in on good networks leaves less to compare."
        )
        notes.append(paragraph(text, note=True))
    return section("The search", element("div", *drawn, class_="plots"), *notes)


def _spent(contents: Contents, plots: Mapping[str, Markup]) -> Markup:
    if "clock" not in plots:
        return Markup("")
    limit = contents.config.budget_seconds
    given = f" of the {duration(limit)} given" if limit is not None else ""
    total = sum(contents.cpu_seconds.values())
    text = f"{duration(contents.seconds)}{given} on the clock, {duration(total)} of CPU time in the metrics."
    return section(
        "Budget spent", paragraph(text), element("div", plot(plots["clock"]), plot(plots["cpu"]), class_="plots")
    )


def _failures(contents: Contents) -> Markup:
    """Return the reasons trials have no value, and the constraints they broke, each with its count."""
    pieces: list[Markup] = []
    measured = [trial for trial in contents.search if trial.failure is None]
    broken = []
    for constraint in contents.problem.constraints:
        values = [trial.value(constraint.metric) for trial in measured]
        missed = [value for value in values if not constraint.holds(value)]
        if missed:
            closest = NOTHING
            if len(missed) == len(values):
                closest = quantity(constraint.metric, min(values, key=constraint.violation))
            broken.append((str(constraint), f"{len(missed):,} of {len(measured):,}", closest))
    if broken:
        pieces.append(table(("constraint", "broken by", "closest value"), broken, numeric=(1, 2)))
    if contents.failures:
        reasons = contents.failures.most_common(_MOST_REASONS)
        pieces.append(table(("trials", "why they failed"), [(f"{n:,}", reason) for reason, n in reasons], numeric=(0,)))
        if (more := len(contents.failures) - len(reasons)) > 0:
            pieces.append(paragraph(f"and {plural(more, 'reason')} more, in trials.journal.", note=True))
    if not pieces:
        return Markup("")
    return section("Failures" if contents.failures else "Broken constraints", *pieces)


def _configuration(contents: Contents) -> Markup:
    text = element("pre", element("code", contents.config_text), tabindex="0")
    return section("Configuration", folded("The resolved configuration, config.yaml", text))

"""`nas status`: how far a run is, from any terminal, while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.console import AsJson, format_value, print_json

if TYPE_CHECKING:
    from nas.rundir import RunDirectory
    from nas.trial import Trial

RECENT = 50  # trials over which the rate is taken


def status(run: Annotated[Path, typer.Argument(help="Run directory.")], as_json: AsJson = False) -> None:
    """Show how far a run is: trials, candidates per second, failures, the best so far, time left. Only reads."""
    from nas.rundir import RunDirectory
    from nas.tuning.run import TuningRun

    found = TuningRun.open(run).status() if TuningRun.is_one(run) else read_status(RunDirectory.open(run))
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        if value is not None:
            print(f"{key.replace('_', ' '):<16} {_shown(value)}")


def read_status(run: RunDirectory) -> dict[str, Any]:
    """Return what the journal of a run says about it, as plain values.

    A run is ``running`` while a process holds it, ``finished`` when it has all its trials and a winner, and
    ``stopped`` otherwise.
    """
    from nas.rundir import is_held

    config = run.config
    running = is_held(run.path)
    trials: dict[str, list[Trial]] = {"search": [], "scale": []}
    if run.journal_path.exists():
        trials = {phase: run.journal.read(phase) for phase in ("search", "scale") if phase == "search" or config.scales}
    search, scaled = trials["search"], trials.get("scale", [])
    finished = not running and (run.path / "best.json").exists() and _is_complete(run, search)
    elapsed = max((float(t.attributes["elapsed"]) for t in [*search, *scaled]), default=0.0)
    rate = _rate(scaled or search)
    best = config.problem("search").best(search)
    left = None
    if running and rate and config.trials is not None and not scaled:
        left = round((config.trials - len(search)) / rate, 1)
    if running and config.budget_seconds is not None:
        rest = max(0.0, config.budget_seconds - elapsed)
        left = rest if left is None else min(left, rest)
    return {
        "run": str(run.path),
        "state": "running" if running else "finished" if finished else "stopped",
        "phase": "scale" if scaled else "search",
        "trials": len(search),
        "planned": config.trials,
        "scaled": len(scaled),
        "failed": sum(t.failure is not None for t in [*search, *scaled]),
        "executor": config.executor,
        "workers": config.worker_count or None,
        "per_second": None if rate is None else round(rate, 3),
        "elapsed_seconds": elapsed,
        "left_seconds": left,
        "best": None if best is None else {"trial": best.number, **best.values()},
    }


def _is_complete(run: RunDirectory, search: list[Trial]) -> bool:
    """Whether the search has what it was to have; a budget or a space that ran out ends it with a winner as well."""
    best = (run.path / "best.json").stat().st_mtime
    return best >= run.journal_path.stat().st_mtime or len(search) >= (run.config.trials or 1)


def _rate(trials: list[Trial]) -> float | None:
    """Return trials per second over the last of them; None while there are too few."""
    last = [float(trial.attributes["elapsed"]) for trial in trials[-RECENT:]]
    return (len(last) - 1) / (last[-1] - last[0]) if len(last) > 1 and last[-1] > last[0] else None


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key}={format_value(part)}" for key, part in value.items())
    return format_value(value)

"""A search in words: its plan before it starts, and what it found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.cli.console import print_table
from nas.rundir import RunDirectory
from nas.study import Outcome, Study
from nas.trial import Trial
from searchspaces import get_space


def describe_plan(run: RunDirectory) -> str:
    """Return what is about to happen, a line each."""
    config = run.config
    metrics = config.make_metrics()
    measured = (f"{o.metric} ({str(metrics[o.metric].settings) or 'exact'})" for o in config.objectives)
    bounds = f" with {', '.join(map(str, config.constraints))}" if config.constraint else ""
    size = get_space(config.space).size()
    trials = f"{config.trials} networks" if config.trials else "as many networks as the time allows"
    workers = f"{config.worker_count} workers" if config.worker_count else "all workers the cluster has room for"
    lines = [
        f"plan     {config.space}, {size:,} networks, strategy {config.strategy}, seed {config.seed}",
        f"find     {', '.join(map(str, config.objectives))}{bounds}",
        f"measure  {'; '.join(measured)}",
        f"budget   {trials}, {config.budget or 'no time limit'}, {workers} ({config.executor})",
        f"then     {f'scale the winner to {config.scale_to}' if config.scales else 'stop'}",
        f"into     {run.path}",
    ]
    return "\n".join(lines)


def show_outcome(run: RunDirectory, study: Study, outcome: Outcome, seconds: float, report: Path) -> None:
    """Print the table of what was found and the paths of what was written."""
    labelled = [(f"front {i}", trial) for i, trial in enumerate(outcome.front)] if len(outcome.front) > 1 else []
    labelled.append(("seed" if outcome.family else "winner", outcome.seed))
    labelled += [(f"step {trial.attributes['step']}", trial) for trial in outcome.family]
    names = list(dict.fromkeys(name for _, trial in labelled for name in trial.values()))
    rows = [(label, *(trial.values().get(name, "") for name in names)) for label, trial in labelled]
    notations = [run.document(trial).provenance.get("notation") for _, trial in labelled]
    if all(notations):  # not every space has a short form
        names.append("network")
        rows = [(*row, str(notation)) for row, notation in zip(rows, notations, strict=True)]
    print_table(("", *names), rows, f"{_counts(study)}, {seconds:.0f} s")
    volume = run.config.problem("search").hypervolume(study.trials)
    if volume is not None:
        print(f"The front dominates {volume.share:.3f} of the box of the feasible networks (hypervolume).")
    if outcome.family:
        print("Of scaled networks, the proxies are those of their narrow relatives.")
    best = run.path / "best.json"
    for word, path in (("winner", best), ("report", report), ("trials", run.journal.path)):
        print(f"{word:<8} {path}")
    print(f"next     nas train {best} --data digits")


def outcome_as_dict(run: RunDirectory, study: Study, outcome: Outcome, seconds: float, report: Path) -> dict[str, Any]:
    """Return the same as plain JSON values."""
    volume = run.config.problem("search").hypervolume(study.trials)
    return {
        "run": str(run.path),
        "best": str(run.path / "best.json"),
        "report": str(report),
        "winner": {**_plain(outcome.winner), "architecture": run.document(outcome.winner).to_dict()},
        "hypervolume": None if volume is None else {"share": volume.share, "worst": dict(volume.worst)},
        "front": [_plain(trial) for trial in outcome.front],
        "family": [_plain(trial) for trial in outcome.family],
        "trials": len(study.trials),
        "scaled": len(study.scaled),
        "failed": _failed(study),
        "seconds": round(seconds, 3),
        "stopped": outcome.stopped,
    }


def _plain(trial: Trial) -> dict[str, Any]:
    return {"trial": trial.number, "phase": trial.phase, "metrics": trial.values(), **trial.attributes}


def _counts(study: Study) -> str:
    scaled = f", {len(study.scaled)} scaled ones" if study.scaled else ""
    return f"{len(study.trials)} networks measured{scaled}, {_failed(study)} failed"


def _failed(study: Study) -> int:
    return sum(trial.failure is not None for trial in [*study.trials, *study.scaled])

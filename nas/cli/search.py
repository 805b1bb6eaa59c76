"""`nas search` and `nas resume`."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.console import AsJson, print_json, print_table, say, warnings_as_sentences

if TYPE_CHECKING:
    from nas.config import SearchConfig
    from nas.rundir import RunDirectory
    from nas.study import Outcome
    from nas.trial import Trial

Repeated = list[str] | None


def search(
    space: Annotated[str | None, typer.Option(help="Search space; see `nas spaces`. [default: asvit]")] = None,
    strategy: Annotated[str | None, typer.Option(help="See `nas strategies`. [default: of the preset]")] = None,
    trials: Annotated[int | None, typer.Option(help="Networks to evaluate before scaling.")] = None,
    budget: Annotated[str | None, typer.Option(help="Wall-clock limit, such as 90s, 10m, 1h30m.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything. [default: 0]")] = None,
    out: Annotated[str | None, typer.Option(help="Run directory. [default: a new one below runs/]")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes. [default: one per core]")] = None,
    executor: Annotated[str | None, typer.Option(help="processes or inline. [default: processes]")] = None,
    preset: Annotated[str | None, typer.Option(help="quick or paper. [default: quick]")] = None,
    maximize: Annotated[Repeated, typer.Option(help="Metric to maximise; may repeat. See `nas metrics`.")] = None,
    minimize: Annotated[Repeated, typer.Option(help="Metric to minimise; may repeat.")] = None,
    constraint: Annotated[Repeated, typer.Option(help="Bound on every network, such as 'params<=30e6'.")] = None,
    scale_to: Annotated[str | None, typer.Option(help="Scale the winner up to a bound, such as 'params<=30e6'.")] = None,
    no_scale: Annotated[bool | None, typer.Option("--no-scale", help="Stop after the search.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the networks' input, pixels.")] = None,
    in_channels: Annotated[int | None, typer.Option(help="Channels of the networks' input.")] = None,
    num_classes: Annotated[int | None, typer.Option(help="Outputs of the networks.")] = None,
    setting: Annotated[
        Repeated, typer.Option("--set", help="Any other key, such as metrics.length.repeats=5; may repeat.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these keys; flags win.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find a network: search a space, then scale the winner up. Continue a stopped run with `nas resume`."""
    warnings_as_sentences()
    from nas.config import merge, resolve
    from nas.overrides import parse_overrides
    from nas.rundir import RunDirectory

    flags = {
        "space": space,
        "strategy": strategy,
        "trials": trials,
        "budget": budget,
        "seed": seed,
        "out": out,
        "workers": workers,
        "executor": executor,
        "preset": preset,
        "maximize": maximize or None,
        "minimize": minimize or None,
        "constraint": constraint or None,
        "scale_to": scale_to,
        "no_scale": no_scale,
        "image_size": image_size,
        "in_channels": in_channels,
        "num_classes": num_classes,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    resolved = resolve(merge(parse_overrides(setting or []), given), config)
    path = Path(resolved.out) if resolved.out else _new_path(resolved)
    _finish(RunDirectory.create(path, resolved), as_json)


def resume(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    workers: Annotated[int | None, typer.Option(help="Worker processes; results do not depend on it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Continue a run that was stopped or killed; it ends with the same trials as an uninterrupted one."""
    warnings_as_sentences()
    from nas.rundir import RunDirectory

    directory = RunDirectory.open(run)
    if workers is not None:
        directory.config = directory.config.model_copy(update={"workers": workers})
    for line in directory.changed_versions():
        say(f"warning: another version than the run began with: {line}; values may differ in their last digits")
    _finish(directory, as_json)


def _new_path(config: SearchConfig) -> Path:
    """Return a run directory that does not exist yet, below runs/."""
    name = f"{config.space}-{config.strategy.replace(':', '-')}-seed{config.seed}"
    path, number = Path("runs") / name, 2
    while path.exists():
        path, number = Path("runs") / f"{name}-{number}", number + 1
    return path


def _finish(run: RunDirectory, as_json: bool) -> None:
    """Run the study to its end, write the report and show what was found."""
    from nas.cli.progress import SearchProgress
    from nas.executors import make_executor
    from nas.report import write_report
    from nas.study import Study

    run.lock()
    signal.signal(signal.SIGTERM, _interrupt)  # a polite kill ends as cleanly as Ctrl-C
    say(_plan(run))
    start = time.monotonic()
    with make_executor(run.config.executor, run.config.worker_count) as executor, SearchProgress(run.config) as progress:
        study = Study(run, executor, progress)
        outcome = study.run()
    report = write_report(run)
    seconds = time.monotonic() - start
    if as_json:
        print_json(_as_dict(run, study, outcome, seconds, report))
    else:
        _show(run, study, outcome, seconds, report)
    if outcome.stopped is not None:
        say(f"stopped: {outcome.stopped}; everything is kept" + _hint(run, outcome))
    if outcome.stopped == "interrupted":
        raise typer.Exit(130)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _hint(run: RunDirectory, outcome: Outcome) -> str:
    return f". Continue with: nas resume {run.path}" if outcome.stopped == "interrupted" else ""


def _plan(run: RunDirectory) -> str:
    """Put into words what is about to happen."""
    from searchspaces import get_space

    config = run.config
    settings = {name: config.make_metrics()[name].settings for name in dict.fromkeys(o.metric for o in config.objectives)}
    measured = "; ".join(f"{name} ({values})" if str(values) else name for name, values in settings.items())
    lines = [
        f"plan     {config.space}, {get_space(config.space).size():,} networks, strategy {config.strategy}, seed {config.seed}",
        f"find     {', '.join(str(o) for o in config.objectives)}"
        + (f" with {', '.join(str(c) for c in config.constraints)}" if config.constraint else ""),
        f"measure  {measured}",
        f"budget   {f'{config.trials} networks' if config.trials else 'open'}, {config.budget or 'no time limit'}, "
        f"{config.worker_count} workers ({config.executor})",
        f"then     {f'scale the winner to {config.scale_to}' if config.scales else 'stop'}",
        f"into     {run.path}",
    ]
    return "\n".join(lines)


def _show(run: RunDirectory, study: Any, outcome: Outcome, seconds: float, report: Path) -> None:
    rows = [_row(f"front {i}" if len(outcome.front) > 1 else "best of search", t, run) for i, t in enumerate(outcome.front)]
    if outcome.family:
        rows.append(_row("seed", outcome.seed, run))
        rows += [_row(f"step {trial.attributes['step']}", trial, run) for trial in outcome.family]
    metrics = list(dict.fromkeys(name for _, _, values in rows for name in values))
    table = [(label, *(values.get(name, "") for name in metrics), network) for label, network, values in rows]
    failed = sum(trial.failure is not None for trial in [*study.trials, *study.scaled])
    title = f"{len(study.trials)} networks searched, {len(study.scaled)} scaled ones measured, {failed} failed, {seconds:.0f} s"
    print_table(("", *metrics, "network"), table, title)
    if outcome.family:
        print("Measures of scaled networks are those of their narrow proxies.")
    print(f"winner   {run.path / 'best.json'}")
    print(f"report   {report}")
    print(f"trials   {run.path / 'trials.journal'}")
    print(f"next     nas train {run.path / 'best.json'} --data digits")


def _row(label: str, trial: Trial, run: RunDirectory) -> tuple[str, str, dict[str, float]]:
    document = run.document(trial)
    return label, str(document.provenance.get("notation", "")), trial.values()


def _as_dict(run: RunDirectory, study: Any, outcome: Outcome, seconds: float, report: Path) -> dict[str, Any]:
    def plain(trial: Trial) -> dict[str, Any]:
        return {"trial": trial.number, "phase": trial.phase, "metrics": trial.values(), **dict(trial.attributes)}

    return {
        "run": str(run.path),
        "best": str(run.path / "best.json"),
        "report": str(report),
        "winner": {**plain(outcome.winner), "architecture": run.document(outcome.winner).to_dict()},
        "front": [plain(trial) for trial in outcome.front],
        "family": [plain(trial) for trial in outcome.family],
        "trials": len(study.trials),
        "scaled": len(study.scaled),
        "failed": sum(trial.failure is not None for trial in [*study.trials, *study.scaled]),
        "seconds": round(seconds, 3),
        "stopped": outcome.stopped,
    }

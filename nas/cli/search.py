"""`nas search` and `nas resume`."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.console import AsJson, print_json, say, warnings_as_sentences

if TYPE_CHECKING:
    from nas.config import SearchConfig
    from nas.rundir import RunDirectory
    from nas.study import Outcome

Repeated = list[str] | None
Address = Annotated[
    str | None, typer.Option(help="Ray cluster: auto, HOST:PORT or ray://HOST:PORT. [default: a local Ray]")
]
Resources = Annotated[str | None, typer.Option(help="Of a worker on Ray, such as gpu=0.25. [default: cpu=1]")]


def search(
    space: Annotated[str | None, typer.Option(help="Search space; see `nas spaces`. [default: asvit]")] = None,
    strategy: Annotated[str | None, typer.Option(help="See `nas strategies`. [default: of the preset]")] = None,
    trials: Annotated[int | None, typer.Option(help="Networks to evaluate before scaling.")] = None,
    budget: Annotated[str | None, typer.Option(help="Wall-clock limit, such as 90s, 10m, 1h30m.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything. [default: 0]")] = None,
    out: Annotated[str | None, typer.Option(help="Run directory. [default: a new one below runs/]")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes. [default: one per core]")] = None,
    executor: Annotated[str | None, typer.Option(help="processes, inline or ray. [default: processes]")] = None,
    ray_address: Address = None,
    resources: Resources = None,
    max_retries: Annotated[
        int | None, typer.Option(help="Further tries after a worker died or hung. [default: 2]")
    ] = None,
    timeout_per_trial: Annotated[
        str | None, typer.Option(help="A worker that takes longer is hung: 90s, 10m. [default: none]")
    ] = None,
    connect_timeout: Annotated[
        str | None, typer.Option(help="Within which a Ray cluster must answer. [default: 30s]")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Folder or URL of trainings' checkpoints. [default: training/ in the run]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training, for --maximize accuracy.")] = None,
    stop_early: Annotated[str | None, typer.Option(help="asha or hyperband: end poor trainings early, on Ray.")] = None,
    preset: Annotated[str | None, typer.Option(help="quick or paper. [default: quick]")] = None,
    maximize: Annotated[Repeated, typer.Option(help="Metric to maximise; may repeat. See `nas metrics`.")] = None,
    minimize: Annotated[Repeated, typer.Option(help="Metric to minimise; may repeat.")] = None,
    constraint: Annotated[Repeated, typer.Option(help="Bound on every network, such as 'params<=30e6'.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in one pass, for every target of the search.")] = None,
    precision: Annotated[str | None, typer.Option(help="Such as fp16 or int8, for every target of the search.")] = None,
    scale_to: Annotated[
        str | None, typer.Option(help="Scale the winner up to a bound, such as 'params<=30e6'.")
    ] = None,
    no_scale: Annotated[bool | None, typer.Option("--no-scale", help="Stop after the search.")] = None,
    data: Annotated[str | None, typer.Option(help="Data set the networks are for; their sizes follow from it.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder of the data.")] = None,
    supernet: Annotated[str | None, typer.Option(help="Trained super-network; else one is trained if needed.")] = None,
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
        "ray_address": ray_address,
        "resources": resources,
        "max_retries": max_retries,
        "timeout_per_trial": timeout_per_trial,
        "connect_timeout": connect_timeout,
        "storage": storage,
        "epochs": epochs,
        "stop_early": stop_early,
        "preset": preset,
        "maximize": maximize or None,
        "minimize": minimize or None,
        "constraint": constraint or None,
        "batch_size": batch_size,
        "precision": precision,
        "scale_to": scale_to,
        "no_scale": no_scale,
        "data": data,
        "data_dir": data_dir,
        "supernet": supernet,
        "image_size": image_size,
        "in_channels": in_channels,
        "num_classes": num_classes,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    resolved = resolve(merge(parse_overrides(setting or []), given), config)
    resolved.problem("search").require_reachable()  # before anything is written or a super-network is trained
    path = Path(resolved.out) if resolved.out else _new_path(resolved)
    _finish(RunDirectory.create(path, resolved), as_json)


def resume(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    workers: Annotated[int | None, typer.Option(help="Worker processes; results do not depend on it.")] = None,
    executor: Annotated[str | None, typer.Option(help="processes, inline or ray, as for `nas search`.")] = None,
    ray_address: Address = None,
    resources: Resources = None,
    as_json: AsJson = False,
) -> None:
    """Continue a run that was stopped or killed; it ends with the same trials as an uninterrupted one."""
    warnings_as_sentences()
    from nas.rundir import RunDirectory
    from nas.tuning.run import TuningRun

    if TuningRun.is_one(run):
        from nas.cli.tune import finish
        from nas.executors import ExecutorOptions

        options = ExecutorOptions(ray_address=ray_address, resources=resources or "cpu=1")
        finish(TuningRun.open(run), options, workers or 0, as_json)
        return
    directory = RunDirectory.open(run)
    changed = {"workers": workers, "executor": executor, "ray_address": ray_address, "resources": resources}
    changed = {key: value for key, value in changed.items() if value is not None}
    directory.config = directory.config.model_copy(update=changed).check()
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
    from evaluators.training.storage import require_writable
    from nas.cli.outcome import describe_plan, outcome_as_dict, show_outcome
    from nas.cli.progress import SearchProgress
    from nas.executors import make_executor
    from nas.report import write_report
    from nas.study import Study
    from nas.supernet import prepare_supernet

    signal.signal(signal.SIGTERM, _interrupt)  # a polite kill ends as cleanly as Ctrl-C
    say(describe_plan(run))
    start = time.monotonic()
    if run.config.trains:
        require_writable(str(run.config.storage))
    with run.locked():
        prepare_supernet(run, say)  # with all cores, before the workers take one each
        workers = make_executor(run.config.executor, run.config.worker_count, run.config.executor_options)
        with workers as executor, SearchProgress(run.config, executor) as progress:
            study = Study(run, executor, progress)
            outcome = study.run()
        report = write_report(run)
    seconds = time.monotonic() - start
    if as_json:
        print_json(outcome_as_dict(run, study, outcome, seconds, report))
    else:
        show_outcome(run, study, outcome, seconds, report)
    if outcome.stopped is not None:
        say(f"stopped: {outcome.stopped}; everything is kept" + _hint(run, outcome))
    if outcome.stopped == "interrupted":
        raise typer.Exit(130)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _hint(run: RunDirectory, outcome: Outcome) -> str:
    return f". Continue with: nas resume {run.path}" if outcome.stopped == "interrupted" else ""

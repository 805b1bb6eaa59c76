"""`nas tune`: the training recipe that suits one network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.console import AsJson, format_value, print_json, print_table, read_architecture, say, warnings_as_sentences
from nas.cli.describe import FILE_HELP
from nas.cli.search import Address, Resources

if TYPE_CHECKING:
    from nas.executors import ExecutorOptions
    from nas.tuning.run import TuningRun


def tune(
    file: Annotated[str, typer.Argument(help=FILE_HELP)],
    data: Annotated[str, typer.Option(help="Data set, as for `nas train`.")] = "digits",
    data_dir: Annotated[str | None, typer.Option(help="Folder of the data.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Recipes to try.")] = 20,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each training. [default: of the recipe]")] = None,
    stop_early: Annotated[str, typer.Option(help="asha, hyperband or none.")] = "asha",
    seed: Annotated[int, typer.Option(min=0, help="Of the searcher and of every training.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run directory. [default: a new one below runs/]")] = None,
    storage: Annotated[
        str | None, typer.Option(help="Folder or URL of checkpoints. [default: training/ in the run]")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Trainings at a time; 0: as many as there is room for.")] = 0,
    ray_address: Address = None,
    resources: Resources = None,
    max_retries: Annotated[int, typer.Option(min=0, help="Further tries after a worker died or hung.")] = 2,
    timeout_per_trial: Annotated[str | None, typer.Option(help="A training that takes longer is hung: 10m.")] = None,
    connect_timeout: Annotated[str, typer.Option(help="Within which a Ray cluster must answer.")] = "30s",
    setting: Annotated[list[str] | None, typer.Option("--set", help="Any other key of the recipe; may repeat.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tune learning rate, weight decay, drop path and augmentation of a network. Continue with `nas resume RUN`."""
    warnings_as_sentences()
    from evaluators import parse_settings
    from nas.executors import ExecutorOptions
    from nas.expressions import parse_duration
    from nas.overrides import parse_overrides
    from nas.tuning.run import TuningConfig, TuningRun
    from nas.tuning.trials import scheduler_name

    path = out or _new_path(file, data)
    values = {
        "data": data,
        "data_dir": data_dir,
        "trials": trials,
        "epochs": epochs,
        "seed": seed,
        "stop_early": scheduler_name(stop_early),
        "storage": storage or str(path / "training"),
        "recipe": parse_overrides(setting or []),
    }
    run = TuningRun(path, parse_settings(TuningConfig, values), read_architecture(file))
    run.metric({}).recipe(0)  # mistakes in the recipe before anything is made
    options = ExecutorOptions(
        max_retries=max_retries,
        timeout_seconds=parse_duration(timeout_per_trial, "timeout_per_trial") if timeout_per_trial else None,
        ray_address=ray_address,
        resources=resources or "cpu=1",
        connect_timeout=parse_duration(connect_timeout, "connect_timeout"),
    )
    finish(TuningRun.create(run.path, run.config, run.architecture), options, workers, as_json)


def finish(run: TuningRun, options: ExecutorOptions, workers: int, as_json: bool) -> None:
    """Run a tuning to its end and show the best recipe; `nas resume` comes here as well."""
    import os

    from evaluators.training.storage import require_writable
    from nas.executors import available_cores, make_executor
    from searchspaces import NasError

    require_writable(run.config.storage)
    joins = options.ray_address or os.environ.get("RAY_ADDRESS")
    with make_executor("ray", workers or (0 if joins else available_cores()), options):
        try:
            run.run(options, workers, lambda record: say(_line(run, record)))
        except KeyboardInterrupt:
            say(f"stopped; everything is kept. Continue with: nas resume {run.path}")
            raise typer.Exit(130) from None
    best = run.best()
    if best is None:
        raise NasError(f"none of the {len(run.records())} recipes could be trained to its end: {_reason(run)}")
    file = run.path / "best_recipe.json"
    if as_json:
        print_json({**run.status(), "recipe": str(file)})
        return
    rows = [(i, r["accuracy"], r["epochs"], *r["chosen"].values(), r["failure"]) for i, r in enumerate(run.records())]
    print_table(("trial", "accuracy", "epochs", *best["chosen"], "failure"), rows)
    print(f"best     {best['accuracy']:.2%} of the validation images, {file}")
    keys = " ".join(f"--set {key}={value}" for key, value in _recipe(file).items())
    print(f"next     nas train FILE --data {run.config.data} {keys}")


def _recipe(file: Path) -> dict[str, Any]:
    import json

    return dict(json.loads(file.read_text(encoding="utf-8")))


def _reason(run: TuningRun) -> str:
    return next((r["failure"] for r in run.records() if r["failure"]), "all were ended early")


def _line(run: TuningRun, record: dict[str, Any]) -> str:
    chosen = "  ".join(f"{key} {format_value(value)}" for key, value in record["chosen"].items())
    done = f"{len(run.records())}/{run.config.trials}"
    return f"tune {done}  accuracy {record['accuracy']:.4f} after {record['epochs']} epochs  {chosen}"


def _new_path(file: str, data: str) -> Path:
    """Return a run directory that does not exist yet, below runs/."""
    import re

    name = re.sub(r"[^\w.-]+", "-", f"tune-{Path(file).stem}-{data}")
    path, number = Path("runs") / name, 2
    while path.exists():
        path, number = Path("runs") / f"{name}-{number}", number + 1
    return path

"""`nas train`: from an architecture file to tested weights."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.console import AsJson, print_json, read_architecture, say, warnings_as_sentences
from nas.cli.describe import FILE_HELP
from nas.overrides import parse_overrides

if TYPE_CHECKING:
    from evaluators.training import TrainingResult

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def train(
    file: Annotated[Path, typer.Argument(help=FILE_HELP)],
    data: Annotated[
        str, typer.Option(help="digits, torch/cifar10, or a word for the pictures in --data-dir.")
    ] = "digits",
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data: train/CLASS/*.jpg or CLASS/*.jpg.")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the run; beside FILE unless given.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the input, pixels.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and augmentation; 0 unless given.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other key of the recipe; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in the directory.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a network, on scikit-learn's digits unless --data says otherwise; accuracies in JSON are in [0, 1]."""
    warnings_as_sentences()
    architecture = read_architecture(str(file))
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "image_size": image_size,
        "seed": seed,
        "device": device,
        "precision": precision,
    }
    overrides = parse_overrides(setting or ()) | {key: value for key, value in given.items() if value is not None}

    from evaluators.training import recipe_for

    recipe = recipe_for(data, overrides)
    if out is None:
        out = default_directory(file, data, recipe.seed)

    from evaluators.training.trainer import train as run_training

    try:
        with _progress(recipe.epochs) as progress:
            result = run_training(
                architecture,
                data,
                out,
                recipe,
                data_dir=None if data_dir is None else str(data_dir),
                resume=resume,
                progress=progress,
            )
    except KeyboardInterrupt:
        command = [Path(sys.argv[0]).name, *sys.argv[1:], *([] if resume else ["--resume"])]
        say(f"Stopped; the last checkpoint is in {out}. To continue: {shlex.join(command)}")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(result.to_dict())
    else:
        _print_table(result)


def default_directory(file: Path, data: str, seed: int) -> Path:
    """Return where a run goes when nothing else is said: ``train-<stem>-<data>-seed<seed>`` beside the file."""
    stem, data = (re.sub(r"[^\w.-]+", "-", text) for text in (file.stem, data))  # a genotype has bars, cifar10 a slash
    return file.parent / f"train-{stem}-{data}-seed{seed}"


@contextmanager
def _progress(epochs: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show epochs on standard error: a bar on a terminal, a line each elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"))
    start, first = time.perf_counter(), 0

    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("preparing", total=epochs)

        def show(record: dict[str, Any]) -> None:
            nonlocal first
            epoch = record["epoch"]
            first = first or epoch  # a resumed run does not begin with 1
            left = (time.perf_counter() - start) / (epoch - first + 1) * (epochs - epoch)
            text = (
                f"loss {record['loss']:.3f}, validation {record['validation_accuracy']:.1%}, "
                f"{record['images_per_second']:.0f} images/s, {_duration(left)} left"
            )
            bar.update(task, completed=epoch, description=text)
            if bar.disable:
                say(f"epoch {epoch}/{epochs}: {text}")

        yield show


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _print_table(result: TrainingResult) -> None:
    """Print the result for people, accuracies in percent."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    chosen = {"ema": "moving average", "raw": "last step"}[result.weights_from]
    for name, value in (
        ("test accuracy", f"{result.test_accuracy:.2%}"),
        ("validation accuracy", f"{result.validation_accuracy:.2%}"),
        ("parameters", f"{result.params:,}"),
        ("trained", f"{result.epochs} epochs of {result.data}, {_duration(result.seconds)}, seed {result.seed}"),
        ("computed on", f"{result.device}, {result.precision}"),
        ("weights", f"{result.weights} ({chosen})"),
        ("architecture", result.architecture),
        ("metrics", result.metrics),
    ):
        table.add_row(name, Text(value))  # a path in brackets is not markup
    Console(soft_wrap=True).print(table)

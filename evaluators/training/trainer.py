"""Training one architecture from its description to weights, able to continue after any interruption."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluators.training.checkpoint import load_checkpoint, remove_checkpoint, save_checkpoint
from evaluators.training.data import load_data
from evaluators.training.device import cpu_threads, resolve_device, resolve_precision
from evaluators.training.learner import Learner, build_learner, restore, tensors_of
from evaluators.training.loop import evaluate, train_epoch
from evaluators.training.randomness import INITIAL, global_state_kept, seed_all
from evaluators.training.recipe import Recipe, recipe_for
from evaluators.training.result import TrainingResult
from evaluators.training.run_directory import (
    ARCHITECTURE,
    METRICS,
    append_history,
    claim,
    package_versions,
    trim_history,
)
from evaluators.training.splits import DataSplits, epoch_order
from evaluators.training.trained import save_weights
from searchspaces import Architecture, NasError, get_space, write_text

Progress = Callable[[dict[str, Any]], None]


def train(
    architecture: Architecture,
    data_name: str,
    out_dir: str | Path,
    recipe: Recipe | None = None,
    *,
    data_dir: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train an architecture on a data set and write everything about it into a directory.

    The architecture is adapted to the channels, classes and image size of the data. On one machine and device, with
    the same number of threads, a run that was killed and resumed gives the same weights, bit for bit, on the CPU.

    Args:
        data_name, data_dir: as in `load_data`.
        out_dir: gets ``architecture.json``, ``weights.safetensors``, ``metrics.json``, ``history.jsonl`` and, while
            the run is unfinished, ``checkpoint/``.
        recipe: None: `recipe_for(data_name)`.
        resume: continue the run in `out_dir`; a finished one is only reported, and none there is begun.
        progress: called after each epoch with its line of the history.

    Raises:
        NasError: data or a device that is missing, a directory that holds another run, a loss that is not finite, or
            a disk that cannot be written. Checkpoints stay as they were.
    """
    out_dir = Path(out_dir)
    recipe = recipe if recipe is not None else recipe_for(data_name)
    device = resolve_device(recipe)
    precision = resolve_precision(recipe, device)
    data = load_data(data_name, data_dir, recipe)
    architecture = architecture.replace(
        image_size=data.image_size, in_channels=data.in_channels, num_classes=data.num_classes
    )
    steps = len(epoch_order(len(data.train), recipe.batch_size, 0, 0))
    configuration = {
        "architecture": architecture.to_dict(provenance=False),
        "data": data.summary(),
        "recipe": recipe.model_dump(),
        "device": device.type,
        "precision": precision,
    }
    claim(out_dir, configuration, package_versions(), resume)
    if (finished := TrainingResult.read(out_dir)) is not None:
        return finished
    with global_state_kept(), cpu_threads(recipe.threads):
        seed_all(INITIAL, recipe.seed)
        model = get_space(architecture.space).build(architecture)
        learner = build_learner(model, recipe, data.num_classes, steps, device, precision)
        seconds = _resume(learner, out_dir)
        seconds = _learn(learner, data, recipe, out_dir, seconds, progress)
        return _finish(learner, data, recipe, out_dir, seconds, architecture)


def _resume(learner: Learner, out_dir: Path) -> float:
    """Put the learner where its checkpoint is; return the seconds spent until then."""
    found = load_checkpoint(out_dir)
    if found is None:
        trim_history(out_dir, 0)
        return 0.0
    tensors, plain = found
    try:
        restore(learner, tensors, plain)
        seconds = float(plain["seconds"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise NasError(f"{out_dir}: its checkpoint does not fit the run: {reason}; remove it to begin again") from error
    trim_history(out_dir, learner.epoch)
    return seconds


def _learn(
    learner: Learner, data: DataSplits, recipe: Recipe, out_dir: Path, seconds: float, progress: Progress | None
) -> float:
    """Train the remaining epochs; return the seconds spent over all sessions."""
    start = time.perf_counter() - seconds
    saved = time.perf_counter()
    while learner.epoch < recipe.epochs:
        report = train_epoch(learner, data.train, recipe)
        accuracies = _validate(learner, data, recipe)
        record = {
            "epoch": learner.epoch,
            "loss": report.loss,
            "learning_rate": report.learning_rate,
            "validation_accuracy": max(accuracies.values()),
            **{f"validation_accuracy_{name}": value for name, value in accuracies.items()},
            "images_per_second": round(report.images_per_second, 1),
            "seconds": round(time.perf_counter() - start, 2),
        }
        append_history(out_dir, record)
        last = learner.epoch == recipe.epochs
        if last or time.perf_counter() - saved >= recipe.checkpoint_seconds:
            tensors, plain = tensors_of(learner)
            save_checkpoint(out_dir, tensors, {**plain, "seconds": time.perf_counter() - start})
            saved = time.perf_counter()
        if progress is not None:
            progress(record)
    return time.perf_counter() - start


def _validate(learner: Learner, data: DataSplits, recipe: Recipe) -> dict[str, float]:
    """Return the validation accuracy of the average and of the raw weights, by name."""
    arguments = (data.validation, recipe.batch_size, learner.device, learner.precision)
    return {name: evaluate(model, *arguments) for name, model in learner.candidates().items()}


def _finish(
    learner: Learner, data: DataSplits, recipe: Recipe, out_dir: Path, seconds: float, architecture: Architecture
) -> TrainingResult:
    """Choose between average and raw weights, test them, and write the result; ``metrics.json`` comes last."""
    validation = _validate(learner, data, recipe)
    chosen = max(validation, key=lambda name: validation[name])
    model = learner.candidates()[chosen]
    test = evaluate(model, data.test, recipe.batch_size, learner.device, learner.precision)
    metrics = {
        "test_accuracy": test,
        "validation_accuracy": validation[chosen],
        "weights_from": chosen,
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": recipe.epochs,
        "seconds": round(seconds, 2),
        "seed": recipe.seed,
        "data": data.name,
        "device": learner.device.type,
        "precision": learner.precision,
        "versions": package_versions(),
        "splits": data.summary(),
        "preprocessing": dict(data.preprocessing),
        "recipe": recipe.model_dump(),
    }
    told = ("data", "test_accuracy", "validation_accuracy", "params", "epochs", "seconds", "seed", "recipe")
    provenance = {**architecture.provenance, "training": {key: metrics[key] for key in told}}
    save_weights(out_dir, model)
    architecture.replace(provenance=provenance).write(out_dir / ARCHITECTURE)
    write_text(out_dir / METRICS, json.dumps(metrics, indent=2) + "\n")
    remove_checkpoint(out_dir)
    result = TrainingResult.read(out_dir)
    assert result is not None  # written three lines above
    return result

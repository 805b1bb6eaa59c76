"""Training a super-network from its description to weights, able to continue at the step where it was stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from evaluators.supernet.body import token_shape
from evaluators.supernet.checkpoint import resume_session, save_session
from evaluators.supernet.distributed import World, joined
from evaluators.supernet.evaluation import cache_split
from evaluators.supernet.gradients import GradientBuffer
from evaluators.supernet.looks import Looks
from evaluators.supernet.recipe import SupernetRecipe, supernet_recipe_for
from evaluators.supernet.sampling import Elastic
from evaluators.supernet.session import Session, finish_epoch, mean_loss, start_epoch, train_step
from evaluators.supernet.stored import DESCRIPTION, load_supernet, save_supernet
from evaluators.supernet.supernet import Supernet
from evaluators.training.checkpoint import remove_checkpoint
from evaluators.training.data import load_data
from evaluators.training.device import cpu_threads, resolve_device, resolve_precision
from evaluators.training.learner import build_learner
from evaluators.training.randomness import INITIAL, global_state_kept, seed_all
from evaluators.training.run_directory import append_history, claim, package_versions, trim_history
from evaluators.training.splits import DataSplits, Share, epoch_order
from searchspaces import Architecture, NasError, get_space

Progress = Callable[[dict[str, Any]], None]
CHECK_EVERY = 20  # steps between looks at the loss; each look waits for the GPU


def train_supernet(
    architecture: Architecture | str,
    data_name: str,
    out_dir: str | Path,
    recipe: SupernetRecipe | None = None,
    *,
    data_dir: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Supernet:
    """Train a super-network on a data set; return it in evaluation mode, and leave it in a directory.

    Started by torchrun, every process draws its own networks and images, and gradients are averaged; the process 0
    writes. On one machine, with one process on the CPU and the same number of threads, a run that was killed and
    resumed gives the same weights, bit for bit.

    Args:
        architecture: the largest network, or the name of a space, whose largest it then is. It is adapted to the
            channels, classes and image size of the data.
        data_name, data_dir: as in `load_data`.
        out_dir: gets ``supernet.json``, ``supernet.safetensors``, ``history.jsonl``, ``run.json`` and, while the run
            is unfinished, ``checkpoint/``.
        recipe: None: `supernet_recipe_for(data_name)`.
        resume: continue the run in `out_dir`; a finished one is only loaded, and none there is begun.
        progress: called in process 0 after each epoch with its line of the history.

    Raises:
        NasError: data or a device that is missing, a directory that holds another run, a space that cannot take the
            images, a loss that is not finite, or a disk that cannot be written.
    """
    out_dir = Path(out_dir)
    recipe = recipe if recipe is not None else supernet_recipe_for(data_name)
    device = resolve_device(recipe.for_training())
    precision = resolve_precision(recipe.for_training(), device)
    data = load_data(data_name, data_dir, recipe.for_training())
    largest = _adapted(architecture, data)
    with joined(device) as world, global_state_kept(), cpu_threads(recipe.threads):
        if device.type == "cuda":
            device = torch.device("cuda", world.local_rank)
        if world.first:
            configuration = {
                "architecture": largest.to_dict(provenance=False),
                "data": data.summary(),
                "recipe": recipe.model_dump(),
                "device": device.type,
                "precision": precision,
                "processes": world.size,
            }
            claim(out_dir, configuration, package_versions(), resume)
        world.wait()
        if not (out_dir / DESCRIPTION).exists():
            session = _begin(largest, data, recipe, world, device, precision)
            _learn(session, data, out_dir, progress)
        world.wait()
    return load_supernet(out_dir, device)


def _adapted(architecture: Architecture | str, data: DataSplits) -> Architecture:
    """Return the largest network for these images."""
    sizes = {"image_size": data.image_size, "in_channels": data.in_channels, "num_classes": data.num_classes}
    if isinstance(architecture, str):
        return get_space(architecture).largest(**sizes)
    return architecture.replace(provenance={}, **sizes)


def _begin(
    largest: Architecture, data: DataSplits, recipe: SupernetRecipe, world: World, device: torch.device, precision: str
) -> Session:
    """Return the session at its start; the weights are the same in every process."""
    seed_all(INITIAL, recipe.seed)
    tokens = token_shape(largest) if recipe.token_mixing else None
    supernet = Supernet(largest, patch_head=tokens is not None)
    elastic = Elastic.of(largest, lambda architecture: supernet.fits(architecture) is None)
    steps = _steps(data, recipe, world)
    learner = build_learner(supernet, recipe.for_training(world.size), data.num_classes, steps, device, precision)
    grid = None if tokens is None else math.isqrt(tokens[0])
    return Session(learner, GradientBuffer(supernet), elastic, recipe, world, grid, torch.zeros((), device=device))


def _steps(data: DataSplits, recipe: SupernetRecipe, world: World) -> int:
    return len(epoch_order(len(data.train), recipe.batch_size * world.size, 0, 0))


def _learn(session: Session, data: DataSplits, out_dir: Path, progress: Progress | None) -> None:
    """Train from the checkpoint, or from the start, to the end."""
    recipe, learner, world = session.recipe, session.learner, session.world
    spent = resume_session(out_dir, session)
    if world.first:
        trim_history(out_dir, learner.epoch)
    world.wait()
    images = cache_split(data.validation, recipe.eval_images, learner.device)
    looks = Looks.of(session.elastic, recipe, images, learner.precision)
    clock = _Clock(out_dir, spent, recipe.checkpoint_seconds)
    while learner.epoch < recipe.epochs:
        record = _epoch(session, data, clock)
        if world.first:
            if learner.epoch % recipe.eval_every == 0 or learner.epoch == recipe.epochs:
                record |= looks.accuracies(session.supernet)
            append_history(out_dir, record)
            clock.maybe_save(session)
            if progress is not None:
                progress(record)
    if world.first:
        _finish(session, data, looks, out_dir, clock.seconds())


class _Clock:
    """How long the run has taken over all its sessions, and when the next checkpoint is due."""

    def __init__(self, out_dir: Path, spent: float, interval: float) -> None:
        self._out_dir, self._interval = out_dir, interval
        self._begun, self._saved = time.perf_counter() - spent, time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._begun

    def maybe_save(self, session: Session) -> None:
        """Write a checkpoint if the last one is old enough."""
        if session.world.first and time.perf_counter() - self._saved >= self._interval:
            _require_finite(session)
            save_session(self._out_dir, session, self.seconds())
            self._saved = time.perf_counter()


def _epoch(session: Session, data: DataSplits, clock: _Clock) -> dict[str, Any]:
    """Train to the end of the current epoch; return its record."""
    recipe, learner, world = session.recipe, session.learner, session.world
    start_epoch(session)
    start, images, total = time.perf_counter(), 0, _steps(data, recipe, world)
    share = Share(world.rank, world.size)
    batches = data.train.train_batches(recipe.batch_size, recipe.seed, learner.epoch, session.step, share)
    for pixels, labels in batches:
        train_step(session, pixels.to(learner.device, non_blocking=True), labels.to(learner.device))
        images += len(labels) * world.size
        if session.step % CHECK_EVERY == 0 or session.step == total:
            _require_finite(session)
        if session.step < total:  # after the last step the epoch is counted first
            clock.maybe_save(session)
    record = {
        "epoch": learner.epoch + 1,
        "loss": mean_loss(session),
        "learning_rate": learner.optimizer.param_groups[0]["lr"],
        "images_per_second": round(images / (time.perf_counter() - start), 1),
        "seconds": round(clock.seconds(), 2),
    }
    finish_epoch(session)
    return record


def _require_finite(session: Session) -> None:
    if not torch.isfinite(session.loss):
        raise NasError(
            f"the loss is not finite in epoch {session.learner.epoch + 1}; "
            "give a lower learning_rate, more warmup_epochs, a clip_grad of 1 or precision=fp32"
        )


def _finish(session: Session, data: DataSplits, looks: Looks, out_dir: Path, seconds: float) -> None:
    """Keep the weight average or the raw weights, whichever is better in the mean over the networks looked at."""
    candidates = {name: model for name, model in session.learner.candidates().items() if isinstance(model, Supernet)}
    accuracies = {name: looks.accuracies(model) for name, model in candidates.items()}
    chosen = max(accuracies, key=lambda name: looks.mean(accuracies[name]))
    record = {
        **accuracies[chosen],
        "weights_from": chosen,
        "params": sum(p.numel() for p in candidates[chosen].network.parameters()),
        "data": data.summary(),
        "preprocessing": dict(data.preprocessing),
        "recipe": session.recipe.model_dump(),
        "processes": session.world.size,
        "seconds": round(seconds, 2),
        "versions": package_versions(),
    }
    save_supernet(out_dir, candidates[chosen], record)
    remove_checkpoint(out_dir)

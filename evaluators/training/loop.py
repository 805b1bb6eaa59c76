"""One epoch of training, and evaluation."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from timm.utils import accuracy
from torch import nn

from evaluators.training.device import autocast
from evaluators.training.learner import Learner
from evaluators.training.randomness import STEP, seed_all
from evaluators.training.recipe import Recipe
from evaluators.training.splits import Split
from searchspaces import NasError

CHECK_EVERY = 20  # steps between looks at the loss; each look waits for the GPU


@dataclass(frozen=True)
class EpochReport:
    """What one epoch of training gave: mean loss, learning rate of the last step, images per second."""

    loss: float
    learning_rate: float
    images_per_second: float


def train_epoch(learner: Learner, split: Split, recipe: Recipe) -> EpochReport:
    """Train over the split once. The result depends on the learner, the recipe and the epoch number only.

    Raises:
        NasError: if the loss is not finite; the learner is of no use afterwards.
    """
    learner.model.train()
    start, images, steps = time.perf_counter(), 0, 0
    total = torch.zeros((), device=learner.device)
    for pixels, labels in split.train_batches(recipe.batch_size, recipe.seed, learner.epoch):
        total += _step(learner, pixels.to(learner.device, non_blocking=True), labels.to(learner.device), recipe, steps)
        images, steps = images + len(labels), steps + 1
        if steps % CHECK_EVERY == 0:
            _require_finite(total, learner)
    _require_finite(total, learner)
    learner.epoch += 1
    seconds = time.perf_counter() - start
    return EpochReport(float(total) / steps, learner.optimizer.param_groups[0]["lr"], images / seconds)


def _step(learner: Learner, pixels: torch.Tensor, labels: torch.Tensor, recipe: Recipe, step: int) -> torch.Tensor:
    """Make one optimizer step; return its loss as a scalar tensor without history."""
    seed_all(STEP, recipe.seed, learner.epoch, step)  # for mixup and stochastic depth
    learner.schedule.step_update(learner.updates + 1)  # from + 1: a rate of 0 at the first step would waste it
    if learner.mixup is not None:
        pixels, labels = learner.mixup(pixels, labels)
    with autocast(learner.device, learner.precision):
        logits = learner.model(pixels)
    loss = learner.criterion(logits.float(), labels)
    learner.optimizer.zero_grad()
    loss.backward()
    if recipe.clip_grad:
        nn.utils.clip_grad_norm_(learner.model.parameters(), recipe.clip_grad)
    learner.optimizer.step()
    learner.updates += 1
    if learner.average is not None:
        learner.average.update(learner.model, step=learner.updates)
    return loss.detach()


def _require_finite(loss: torch.Tensor, learner: Learner) -> None:
    if not torch.isfinite(loss):
        raise NasError(
            f"the loss is not finite in epoch {learner.epoch + 1}; "
            "give a lower learning_rate, more warmup_epochs, a smaller clip_grad or precision=fp32"
        )


@torch.inference_mode()
def evaluate(model: nn.Module, split: Split, batch_size: int, device: torch.device, precision: str) -> float:
    """Return the share of correctly classified images, in [0, 1].

    Raises:
        NasError: if an output is not finite.
    """
    model.eval()
    correct, count = 0.0, 0
    for pixels, labels in split.eval_batches(batch_size):
        with autocast(device, precision):
            logits = model(pixels.to(device, non_blocking=True))
        if not torch.isfinite(logits).all():
            raise NasError(
                "the network gives outputs that are not finite; give a lower learning_rate or precision=fp32"
            )
        correct += float(accuracy(logits, labels.to(device))[0]) / 100 * len(labels)
        count += len(labels)
    return round(correct) / count

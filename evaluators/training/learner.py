"""The network with everything that changes while it learns: optimizer, schedule, weight average, loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from timm.data import Mixup
from timm.layers import DropPath
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from evaluators.training.recipe import Recipe

REFERENCE_BATCH = 1024  # the batch `learning_rate` is given for when it is scaled


@dataclass
class Learner:
    """What a training step reads and changes; `build_learner` makes it.

    Args:
        average: the exponential moving average of the weights, or None.
        mixup: mixes batches, or None.
        epoch: finished epochs.
        updates: finished optimizer steps.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: CosineLRScheduler
    average: ModelEmaV3 | None
    mixup: Mixup | None
    criterion: nn.Module
    device: torch.device
    precision: str
    epoch: int = 0
    updates: int = 0

    def candidates(self) -> dict[str, nn.Module]:
        """Return the networks that can be the result by name; the average comes first and so wins a tie."""
        return ({"ema": self.average.module} if self.average is not None else {}) | {"raw": self.model}


def build_learner(
    model: nn.Module, recipe: Recipe, num_classes: int, steps: int, device: torch.device, precision: str
) -> Learner:
    """Return the learner at its start.

    Args:
        model: freshly initialised; moved to the device.
        steps: optimizer steps per epoch.
    """
    model.to(device)
    set_drop_path(model, recipe.drop_path)
    rate = recipe.learning_rate * (recipe.batch_size / REFERENCE_BATCH if recipe.scale_learning_rate else 1)
    optimizer = create_optimizer_v2(
        model, "adamw", lr=rate, weight_decay=recipe.weight_decay, betas=(0.9, recipe.beta2), fused=True
    )
    warmup = min(recipe.warmup_epochs, recipe.epochs - 1) * steps
    schedule = CosineLRScheduler(
        optimizer,
        t_initial=recipe.epochs * steps - warmup,
        lr_min=min(recipe.min_lr, rate),
        warmup_t=warmup,
        warmup_prefix=True,
        t_in_epochs=False,
    )
    average = ModelEmaV3(model, decay=recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None
    mixed = (recipe.mixup > 0 or recipe.cutmix > 0) and recipe.mix_prob > 0
    mixup = Mixup(recipe.mixup, recipe.cutmix, None, recipe.mix_prob, 0.5, label_smoothing=recipe.label_smoothing,
                  num_classes=num_classes) if mixed else None  # fmt: skip
    criterion: nn.Module
    if mixup is not None:
        criterion = SoftTargetCrossEntropy()
    elif recipe.label_smoothing:
        criterion = LabelSmoothingCrossEntropy(recipe.label_smoothing)
    else:
        criterion = nn.CrossEntropyLoss()
    return Learner(model, optimizer, schedule, average, mixup, criterion, device, precision)


def set_drop_path(model: nn.Module, most: float) -> None:
    """Give the stochastic depth layers of the model, in order, probabilities rising linearly from 0 to `most`."""
    layers = [module for module in model.modules() if isinstance(module, DropPath)]
    for place, layer in enumerate(layers):
        layer.drop_prob = most * place / max(1, len(layers) - 1)


def tensors_of(learner: Learner) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return everything that changes: named tensors, and plain values for JSON."""
    tensors = {f"model.{name}": tensor for name, tensor in learner.model.state_dict().items()}
    if learner.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in learner.average.module.state_dict().items()}
    state = learner.optimizer.state_dict()
    slots: dict[str, dict[str, Any]] = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                slots.setdefault(str(index), {})[name] = value
    plain = {"epoch": learner.epoch, "updates": learner.updates, "slots": slots}
    return tensors, {**plain, "param_groups": state["param_groups"]}


def restore(learner: Learner, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    """Put back what `tensors_of` gave.

    Raises:
        KeyError, RuntimeError, ValueError: if it belongs to another network or optimizer.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    learner.model.load_state_dict(parts["model"])
    if learner.average is not None:
        learner.average.module.load_state_dict(parts["average"])
    state: dict[int, dict[str, Any]] = {int(index): dict(entries) for index, entries in plain["slots"].items()}
    for name, tensor in parts["optimizer"].items():
        index, _, slot = name.partition(".")
        state.setdefault(int(index), {})[slot] = tensor.clone()  # a file's own memory may be mapped, not read
    learner.optimizer.load_state_dict({"state": state, "param_groups": plain["param_groups"]})
    learner.epoch, learner.updates = int(plain["epoch"]), int(plain["updates"])

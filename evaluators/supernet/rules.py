"""The rules by which a super-network can be trained: which networks a step takes, and how they are computed."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from evaluators.supernet.gradients import GradientBuffer
from evaluators.supernet.mixing import Targets
from evaluators.supernet.recipe import SupernetRecipe
from evaluators.supernet.sampling import ARCHITECTURES, Elastic, step_rng
from evaluators.supernet.step import Autocast, interleaved_step, sandwich_step
from evaluators.supernet.supernet import Supernet
from searchspaces import Architecture

Rule = Literal["multi", "single", "sandwich"]


def step_architectures(
    elastic: Elastic, recipe: SupernetRecipe, rank: int, epoch: int, step: int
) -> list[Architecture]:
    """Return the networks of a step in one process.

    ``multi``: `architectures` drawn networks, others in every process (ViT-ResNAS). ``single``: one, the same in every
    process. ``sandwich``: the largest, the smallest open one, and `architectures` drawn ones.
    """
    rank = 0 if recipe.rule == "single" else rank
    rng = step_rng(ARCHITECTURES, recipe.seed, rank, epoch, step)
    count = 1 if recipe.rule == "single" else recipe.architectures
    drawn = elastic.draw(count, rng, epoch, recipe.choice_warmup_epochs)
    if recipe.rule != "sandwich":
        return drawn
    return [elastic.largest, elastic.smallest(epoch, recipe.choice_warmup_epochs), *drawn]


def step_gradients(
    supernet: Supernet,
    buffer: GradientBuffer,
    images: Tensor,
    targets: Targets,
    architectures: list[Architecture],
    recipe: SupernetRecipe,
    autocast: Autocast,
) -> Tensor:
    """Add the gradients of a step to the buffer and return its mean loss."""
    if recipe.rule == "sandwich":
        return sandwich_step(supernet, buffer, images, targets, architectures, autocast, recipe.distill)
    return interleaved_step(supernet, buffer, images, targets, architectures, autocast)

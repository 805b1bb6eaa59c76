"""What changes while a super-network learns, and one step of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from evaluators.supernet.distributed import World
from evaluators.supernet.gradients import GradientBuffer
from evaluators.supernet.mixing import Targets, mix_tokens, smooth_targets
from evaluators.supernet.recipe import SupernetRecipe
from evaluators.supernet.rewiring import rewire
from evaluators.supernet.rules import step_architectures, step_gradients
from evaluators.supernet.sampling import MIXING, Elastic, step_rng
from evaluators.supernet.supernet import Supernet
from evaluators.training.device import autocast
from evaluators.training.learner import Learner
from evaluators.training.randomness import STEP, seed_all


@dataclass
class Session:
    """A training in progress. Random numbers depend on (seed, process, epoch, step) alone and need no state.

    Args:
        learner: the super-network as `model`, its optimizer, schedule and weight average, and the finished epochs.
        buffer: its gradients.
        elastic: what sub-networks differ in.
        grid: patch tokens per side of the last stage; None without token mixing.
        step: finished steps of the current epoch.
        loss: sum over these steps, a scalar.
    """

    learner: Learner
    buffer: GradientBuffer
    elastic: Elastic
    recipe: SupernetRecipe
    world: World
    grid: int | None
    loss: Tensor
    step: int = 0

    @property
    def supernet(self) -> Supernet:
        """The super-network with its raw weights."""
        model = self.learner.model
        assert isinstance(model, Supernet)
        return model


def start_epoch(session: Session) -> None:
    """Sort heads and hidden units where the recipe says so; does nothing inside an epoch."""
    recipe, learner = session.recipe, session.learner
    if session.step or not recipe.rewire or learner.epoch > recipe.choice_warmup_epochs:
        return
    beside: dict[Tensor, list[Tensor]] = {}
    average = dict(learner.average.module.named_parameters()) if learner.average is not None else {}
    for name, parameter in learner.model.named_parameters():
        beside[parameter] = [average[name].data] if name in average else []
        if recipe.rewire_moments:
            state = learner.optimizer.state.get(parameter, {})
            beside[parameter] += [moment for moment in state.values() if moment.shape == parameter.shape]
    rewire(session.supernet.network, beside.__getitem__)


def train_step(session: Session, pixels: Tensor, labels: Tensor) -> None:
    """Make one optimizer step on a batch of this process."""
    recipe, learner, world = session.recipe, session.learner, session.world
    place = (world.rank, learner.epoch, session.step)
    supernet = session.supernet
    supernet.train()
    seed_all(STEP, recipe.seed, *place)  # for stochastic depth
    learner.schedule.step_update(learner.updates + 1)  # from + 1: a rate of 0 at the first step would waste it
    session.buffer.flat.zero_()
    smoothed = smooth_targets(labels, supernet.architecture.num_classes, recipe.label_smoothing)
    targets = Targets(smoothed)
    if session.grid is not None:
        pixels, targets = mix_tokens(pixels, smoothed, session.grid, step_rng(MIXING, recipe.seed, *place))
    architectures = step_architectures(session.elastic, recipe, *place)
    context = partial(autocast, learner.device, learner.precision)
    loss = step_gradients(supernet, session.buffer, pixels, targets, architectures, recipe, context)
    world.average(session.buffer.flat)
    world.average(loss)
    if recipe.clip_grad:
        nn.utils.clip_grad_norm_(supernet.parameters(), recipe.clip_grad)
    learner.optimizer.step()
    learner.updates += 1
    if learner.average is not None:
        learner.average.update(supernet, step=learner.updates)
    session.loss += loss
    session.step += 1


def mean_loss(session: Session) -> float:
    """Return the mean loss of the finished steps of the epoch."""
    return float(session.loss) / max(1, session.step)


def finish_epoch(session: Session) -> None:
    """Count the epoch and begin the next."""
    session.learner.epoch += 1
    session.step = 0
    session.loss = torch.zeros_like(session.loss)

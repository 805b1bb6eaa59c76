"""REINFORCE over independent categorical policies, as As-ViT searches its seed topology (arXiv 2202.11921)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from evaluators.settings import Settings
from nas.problem import Problem
from nas.strategies.base import Strategy, register_strategy
from nas.trial import Trial
from searchspaces import Architecture, Value

if TYPE_CHECKING:
    import torch


class ReinforceSettings(Settings):
    """Options of REINFORCE; the defaults are those of the authors' code."""

    learning_rate: float = Field(default=0.08, gt=0, description="of Adam")
    initial_scale: float = Field(default=1e-3, ge=0, description="standard deviation of the initial logits")
    baseline_momentum: float = Field(default=0.9, ge=0, lt=1, description="of the moving average of rewards")
    reward: Literal["difference", "rank", "raw"] = Field(
        default="difference",
        description="difference: change since the sample before, over the range of the buffer (as coded by the "
        "authors); rank: place among the buffer, 0 to 1; raw: the signed value itself",
    )
    buffer: int = Field(default=20, ge=2, description="values a reward looks back on, the current one included")
    entropy_bonus: float = Field(default=0.0, ge=0, description="weight of the policy's entropy (the authors: none)")
    batch: int = Field(default=1, ge=1, description="architectures per step of Adam")
    winner: Literal["policy", "best"] = Field(
        default="policy", description="policy: the most probable network, as the authors; best: the best trial"
    )


@register_strategy("reinforce")
class Reinforce(Strategy):
    """One logit vector per decision; the loss is -log p(architecture) * (reward - baseline).

    The baseline is a bias-corrected moving average, updated before it is subtracted. Rewards of several objectives
    are added. A failed trial is told nothing of: no value, no reward, no step.
    """

    Settings = ReinforceSettings

    def __init__(self, problem: Problem, settings: BaseModel | None = None, seed: int = 0) -> None:
        import torch

        super().__init__(problem, settings, seed)
        self._generator = torch.Generator().manual_seed(seed)
        self._logits: dict[str, torch.Tensor] = {}
        for dimension in problem.space.searched:
            start = torch.randn(len(dimension.choices), generator=self._generator, dtype=torch.float64)
            self._logits[dimension.name] = (self.settings.initial_scale * start).requires_grad_()
        self._optimizer = torch.optim.Adam(list(self._logits.values()), lr=self.settings.learning_rate)
        self._buffers = [Reward(self.settings.reward, self.settings.buffer) for _ in problem.objectives]
        self._baseline, self._updates = 0.0, 0

    @property
    def batch(self) -> int:
        """Architectures per step."""
        return int(self.settings.batch)

    def ask(self, n: int) -> list[Architecture]:
        """Return `n` networks drawn from the policy; the same network may come again."""
        return [self.problem.draw(self._sample) for _ in range(n)]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take one step of Adam on the mean loss of the trials."""
        import torch

        losses = []
        for trial in trials:
            scores = self.problem.scores(trial)
            if scores is None:
                continue
            reward = sum(buffer(score) for buffer, score in zip(self._buffers, scores, strict=True))
            losses.append(-self._log_probability(trial.architecture) * (reward - self._update_baseline(reward)))
        if not losses:
            return
        loss = torch.stack(losses).mean() - self.settings.entropy_bonus * self.entropy()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def entropy(self) -> torch.Tensor:
        """Return the entropy of the policy in nats, every decision counted as active."""
        import torch

        return torch.stack([-(x.softmax(0) * x.log_softmax(0)).sum() for x in self._logits.values()]).sum()

    def proposal(self) -> Architecture | None:
        """Return the most probable network, if that is the winner and it meets the static constraints."""
        if self.settings.winner == "best":
            return None
        architecture = self._assemble(lambda logits: int(logits.argmax()))
        return None if self.problem.violations(architecture) else architecture

    def _sample(self) -> Architecture:
        import torch

        return self._assemble(lambda x: int(torch.multinomial(x.softmax(0), 1, generator=self._generator)))

    def _assemble(self, pick: Callable[[torch.Tensor], int]) -> Architecture:
        choices: dict[str, Value] = {}
        for dimension in self.problem.space.searched:
            if dimension.is_active(choices):
                choices[dimension.name] = dimension.choices[pick(self._logits[dimension.name].detach())]
        return self.problem.space.architecture(choices, **self.problem.sizes)

    def _log_probability(self, architecture: Architecture) -> torch.Tensor:
        import torch

        terms = []
        for dimension in self.problem.space.active_dimensions(architecture):
            index = list(dimension.choices).index(architecture.choices[dimension.name])
            terms.append(self._logits[dimension.name].log_softmax(0)[index])
        return torch.stack(terms).sum()

    def _update_baseline(self, reward: float) -> float:
        momentum = self.settings.baseline_momentum
        self._updates += 1
        self._baseline = momentum * self._baseline + (1 - momentum) * reward
        return self._baseline / (1 - momentum**self._updates)


class Reward:
    """The reward of one objective, step by step, from its signed values (larger is better)."""

    def __init__(self, kind: Literal["difference", "rank", "raw"], buffer: int) -> None:
        self.kind = kind
        self._values: deque[float] = deque(maxlen=buffer)

    def __call__(self, value: float) -> float:
        """Return the reward of the next value; 0 for the first one, except raw."""
        before = self._values[-1] if self._values else None
        self._values.append(value)
        if self.kind == "raw":
            return value
        if before is None:
            return 0.0
        if self.kind == "difference":
            return (value - before) / (max(self._values) - min(self._values) + 1e-6)
        return sum(other < value for other in self._values) / (len(self._values) - 1)

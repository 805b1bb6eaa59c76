"""As-ViT's auto-scaling (arXiv 2202.11921): grow depth and width step by step, ranked by training-free measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evaluators.metric import Direction
from nas.pareto import dense_ranks
from nas.scaling.settings import ScalingSettings
from searchspaces import Architecture, NasError

STAGES = (1, 2, 3, 4)


@dataclass(frozen=True)
class Candidate:
    """One way to grow.

    Args:
        network: the real network, of width `width_factor` times the proxy's.
        proxy: the narrow network that is measured in its place.
        stage: the stage that got one more block; 0 for the seed topology itself.
        proxy_width: width c of the proxy.
    """

    network: Architecture
    proxy: Architecture
    stage: int
    proxy_width: int


class Growth:
    """The state of a growth: `candidates` proposes, `accept` takes one of them.

    Args:
        seed: the seed topology.
        fits: whether a network is small enough to be a candidate.
        reached: whether the growth may stop after this network.
    """

    def __init__(
        self,
        seed: Architecture,
        settings: ScalingSettings,
        directions: Sequence[Direction],
        fits: Callable[[Architecture], bool],
        reached: Callable[[Architecture], bool],
    ) -> None:
        self.settings = settings
        self.directions = tuple(directions)
        self._fits = fits
        self._reached = reached
        self.current = self._candidate(seed, (1, 1, 1, 1), settings.proxy_width, 0)
        self.steps = 0
        if not fits(self.current.network):
            raise NasError(
                f"scale_to: the unscaled network, of width {settings.proxy_width * settings.width_factor}, is already "
                "larger than this; raise the bound or give --no-scale"
            )

    def candidates(self) -> list[Candidate]:
        """Return the next networks to measure; empty when the growth has ended."""
        if self.steps >= self.settings.max_steps or (self.steps and self._reached(self.current.network)):
            return []
        found = []
        for stage in STAGES:
            for width in self._widths():
                depths = tuple(d + (s == stage) for s, d in zip(STAGES, self._depths(), strict=True))
                try:
                    candidate = self._candidate(self.current.network, depths, width, stage)
                except NasError:  # past the depths or widths the space has
                    continue
                if self._fits(candidate.network):
                    found.append(candidate)
        return found

    def accept(self, candidates: Sequence[Candidate], values: Sequence[Sequence[float] | None]) -> Candidate | None:
        """Take the candidate of the lowest rank sum and return it; None if every one failed, which ends the growth.

        Args:
            values: per candidate one value per measure, or None where one failed.
        """
        usable = [(c, v) for c, v in zip(candidates, values, strict=True) if v is not None]
        if not usable:
            self.steps = self.settings.max_steps
            return None
        signs = [1 if direction == "maximize" else -1 for direction in self.directions]
        index = pick([v for _, v in usable], signs, self.settings.tie)
        self.current = usable[index][0]
        self.steps += 1
        return self.current

    def _widths(self) -> list[int]:
        """Widths of the next proxies; Python's round is half-to-even, as the authors'."""
        width = self.current.proxy_width
        return list(dict.fromkeys(round(width * (1 + ratio)) for ratio in self.settings.growth))

    def _depths(self) -> tuple[int, ...]:
        return tuple(int(self.current.network.choices.get(f"stage{stage}.depth", 1)) for stage in STAGES)

    def _candidate(self, base: Architecture, depths: Sequence[int], width: int, stage: int) -> Candidate:
        changes = {f"stage{number}.depth": depth for number, depth in zip(STAGES, depths, strict=True)}
        network = base.replace(choices={**changes, "width": width * self.settings.width_factor})
        return Candidate(network, network.replace(choices={"width": width}), stage, width)


def pick(values: Sequence[Sequence[float]], signs: Sequence[int], tie: str) -> int:
    """Return the index with the lowest sum of dense ranks; see `ScalingSettings.tie` for equal sums.

    Args:
        values: per candidate one value per measure.
        signs: per measure +1 if larger is better, -1 if smaller is.
    """
    columns = list(zip(*values, strict=True))
    ranks = [dense_ranks([sign * value for value in column]) for column, sign in zip(columns, signs, strict=True)]
    sums = [sum(column) for column in zip(*ranks, strict=True)]
    order = sorted(range(len(values)), key=lambda index: sums[index])
    if len(order) == 1 or sums[order[0]] < sums[order[1]]:
        return order[0]
    spreads = [(max(c) - min(c)) / abs(max(c)) if max(c) else 0.0 for c in columns]
    measure = spreads.index(max(spreads))
    sign = signs[measure] if tie == "better" else -1
    return max(order[:2], key=lambda index: sign * values[index][measure])

"""The options of As-ViT's growth."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from evaluators import Settings, metrics
from nas.expressions import parse_constraint
from searchspaces import NasError


class ScalingSettings(Settings):
    """As-ViT's growth (arXiv 2202.11921); the defaults are those of the authors' code except for the tie."""

    proxy_width: int = Field(default=8, ge=1, le=256, description="width c of the first network that is measured")
    width_factor: int = Field(default=4, ge=1, le=64, description="width of the real network over that of its proxy")
    growth: list[float] = Field(
        default=[0.05, 0.10, 0.15, 0.20], min_length=1, description="relative widenings tried at every step"
    )
    measures: list[str] = Field(
        default=["length", "ntk"], min_length=1, description="metrics whose ranks are added, each in its direction"
    )
    tie: Literal["better", "authors"] = Field(
        default="better",
        description="between the two best of equal rank sum, by the measure that spreads most, better: the one with "
        "the better value; authors: the one with the smaller value, as coded",
    )
    stop_at: str | None = Field(
        default=None, description="stop after the step that reaches this, such as params>=80e6; None: when nothing fits"
    )
    max_steps: int = Field(default=200, ge=1, description="steps after which the growth ends in any case")

    def check(self) -> None:
        """Raise NasError for names and bounds that cannot be used."""
        for name in self.measures:
            metrics.get(name)
        for ratio in self.growth:
            if not 0 <= ratio <= 10:
                raise NasError(f"scaling.growth={self.growth!r}: {ratio!r} is no widening; give ratios from 0 to 10")
        if self.stop_at is not None:
            stop = parse_constraint(self.stop_at, "scaling.stop_at")
            if stop.comparison != ">=" or not metrics.get(stop.metric).static:
                raise NasError(f"scaling.stop_at={self.stop_at!r} must be a lower bound on params or macs")

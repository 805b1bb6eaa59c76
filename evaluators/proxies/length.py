"""The metric `length`: how much a random network stretches a circle of inputs (As-ViT, arXiv 2202.11921, L^E)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from evaluators.metric import Metric, MetricFailure, register_metric
from evaluators.proxies.settings import ProxySettings, looked_at
from searchspaces import Architecture


class LengthSettings(ProxySettings):
    """The circle of inputs."""

    points: int = Field(
        default=10, ge=2, le=10_000, description="angles, evenly spaced on [0, 2 pi] with both ends, as in the paper"
    )
    radius: Annotated[float, Field(gt=0)] | Literal["sqrt_pixels"] = Field(
        default=1.0,
        description="radius of the circle in input space; sqrt_pixels: the root of the number of input values",
    )


@register_metric
class Length(Metric):
    """Expected length distortion L^E: the sum over the angles of |dz/dtheta|, z the pooled features.

    Costs one forward-mode pass over the distinct angles per repeat.
    """

    name = "length"
    direction = "maximize"
    Settings = LengthSettings

    def measure(self, architecture: Architecture, repeat: int) -> float:
        """Return the length distortion of one random network.

        Raises:
            MetricFailure: if the space cannot follow the settings, or the length is zero or not finite.
        """
        from evaluators.proxies.curve import circle, length_terms
        from evaluators.proxies.initialise import draw_network, generator

        settings = self.settings
        architecture = looked_at(architecture, settings)
        network = draw_network(architecture, settings, "length", repeat)
        shape = (architecture.in_channels, architecture.image_size, architecture.image_size)
        first, second = circle(shape, generator(settings.seed, "length circle", repeat))
        radius = math.sqrt(math.prod(shape)) if settings.radius == "sqrt_pixels" else settings.radius
        length = math.fsum(length_terms(network, first, second, settings.points, radius).tolist())
        if not math.isfinite(length):
            raise MetricFailure(f"the length distortion of repeat {repeat} is not finite ({length})")
        if length <= 0.0:
            raise MetricFailure(f"the length distortion of repeat {repeat} is zero: the features do not move")
        return length

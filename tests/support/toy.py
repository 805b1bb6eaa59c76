"""A small space with conditions, and metrics that misbehave on purpose, for tests of everything that is generic."""

from __future__ import annotations

import itertools
import os
import signal
import time

from pydantic import Field

from evaluators import Metric, MetricFailure, Settings, register_metric
from searchspaces import Architecture, Dimension, SearchSpace, register_space


@register_space
class ToySpace(SearchSpace):
    """Plain networks of up to three layers; a layer's width exists only while the layer does."""

    name = "toy"
    image_sizes = (4, 256)
    dimensions = (
        Dimension("width", (4, 8, 12, 16), meaning="features of the first layer"),
        Dimension("layer2.present", (False, True)),
        Dimension("layer2.width", (4, 8, 12), active_when=("layer2.present", (True,))),
        Dimension("layer3.present", (False, True), active_when=("layer2.present", (True,))),
        Dimension("layer3.width", (4, 8), active_when=("layer3.present", (True,))),
        Dimension("bias", ("none", "last", "all")),
    )

    def build(self, architecture: Architecture):
        """Return flatten, linear layers, head."""
        from torch import nn

        class Network(nn.Module):
            def __init__(self, widths, inputs, classes):
                super().__init__()
                sizes = [inputs, *widths]
                self.body = nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(sizes)))
                self.head = nn.Linear(sizes[-1], classes)

            def forward_features(self, x):
                return self.body(x.flatten(1))

            def forward(self, x):
                return self.head(self.forward_features(x))

        choices = architecture.choices
        widths = [choices[name] for name in ("width", "layer2.width", "layer3.width") if name in choices]
        return Network(widths, architecture.in_channels * architecture.image_size**2, architecture.num_classes)


class ToySettings(Settings):
    """Options of the toy metrics."""

    seed: int = 0
    repeats: int = Field(default=2, ge=1)
    seconds: float = 0.0


@register_metric
class ToyScore(Metric):
    """A value that depends on everything it may depend on, and one architecture in `fails` of which none."""

    name = "toy_score"
    direction = "maximize"
    Settings = ToySettings

    def measure(self, architecture: Architecture, repeat: int) -> float:
        time.sleep(self.settings.seconds)
        code = sum((i + 1) * ord(c) for i, c in enumerate(architecture.key))
        if code % 11 == 0:
            raise MetricFailure("eleven divides it")
        return ((code * 2654435761 + repeat + self.settings.seed) % 1000) / 1000


@register_metric
class WorkerKiller(Metric):
    """Kills the process that measures the widest network."""

    name = "worker_killer"
    direction = "maximize"

    def measure(self, architecture: Architecture, repeat: int) -> float:
        if architecture.choices["width"] == 16:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(architecture.choices["width"])


@register_metric
class Sleeper(Metric):
    """Never comes back from the widest network."""

    name = "sleeper"
    direction = "maximize"

    def measure(self, architecture: Architecture, repeat: int) -> float:
        if architecture.choices["width"] == 16:
            time.sleep(3600)
        return float(architecture.choices["width"])


@register_metric
class WhereMeasured(Metric):
    """A number for the node of a Ray cluster that measures."""

    name = "where_measured"
    direction = "maximize"

    def measure(self, architecture: Architecture, repeat: int) -> float:
        import ray

        time.sleep(0.02)
        return float(int(ray.get_runtime_context().get_node_id()[:8], 16))

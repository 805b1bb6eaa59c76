"""The metrics of size: `params` and `macs`, exact, from the torch modules."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from evaluators.metric import Metric, register_metric
from evaluators.settings import Settings
from hardware import network_cost
from searchspaces import Architecture, get_space


@register_metric
class Params(Metric):
    """Scalars in the parameters of the network, classifier included."""

    name = "params"
    direction = "minimize"
    static = True

    def measure(self, architecture: Architecture, repeat: int) -> float:
        """Return the exact count."""
        return network_cost(architecture).params


class MacsSettings(Settings):
    """How multiply-accumulates are counted."""

    convention: Literal["plain", "authors"] = Field(
        default="plain",
        description="plain: convolutions, linear layers and both attention products; authors: as the space's paper",
    )


@register_metric
class Macs(Metric):
    """Multiply-accumulates for one image."""

    name = "macs"
    direction = "minimize"
    static = True
    Settings = MacsSettings

    def measure(self, architecture: Architecture, repeat: int) -> float:
        """Return the exact count in the chosen convention."""
        macs = network_cost(architecture).macs
        if self.settings.convention == "authors":
            return get_space(architecture.space).authors_macs(architecture, macs)
        return macs

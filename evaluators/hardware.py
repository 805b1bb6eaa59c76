"""What a network costs on a device: the metrics `latency_ms@TARGET`, `energy_mj@TARGET` and `memory_mb@TARGET`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from evaluators.metric import Metric, MetricFailure, get_metric, metrics
from evaluators.settings import Settings
from hardware import Estimate, Network, Quantity, Target, UnsupportedError, get_target, targets
from searchspaces import Architecture

QUANTITIES = {
    "latency_ms": ("ms", "time of one pass over a batch"),
    "energy_mj": ("mJ", "energy of one pass over a batch"),
    "memory_mb": ("MB", "memory that one pass over a batch needs"),
}


class HardwareSettings(Settings):
    """What is run on the device."""

    batch_size: int | None = Field(default=None, ge=1, description="images in one pass; None: 1")
    precision: str | None = Field(default=None, description="such as fp16 or int8; None: the target's default")


class HardwareMetric(Metric):
    """One quantity of one target, as the target's predictor has it; each pair is a class of its own.

    Attributes:
        target: name of the target.
        quantity: field of its estimates, a key of `QUANTITIES`.
    """

    direction = "minimize"
    grows = False  # a device may like a larger network better
    Settings = HardwareSettings
    target: ClassVar[str]
    quantity: ClassVar[str]

    def __init__(self, settings: BaseModel | None = None) -> None:
        """Check the settings against the target, so that a search does not begin with a precision it has not.

        Raises:
            NasError: for a batch size below 1 or a precision the target does not have.
        """
        super().__init__(settings)
        _target(self.target).settle(self.settings.batch_size, self.settings.precision)

    def __reduce__(self) -> tuple[Any, ...]:  # the class is made by name, so worker processes make it again
        return get_metric, (self.name, self.settings.model_dump())

    def measure(self, architecture: Architecture, repeat: int) -> float:
        """Return the predicted value.

        Raises:
            MetricFailure: if the target cannot run the network, or has no idea of this quantity.
        """
        return self.predict(architecture).value

    def predict(self, architecture: Architecture) -> Quantity:
        """Return the predicted value with its basis and stated error; raises as `measure` does."""
        try:
            found: Quantity | None = getattr(self.estimate(architecture), self.quantity)
        except UnsupportedError as error:
            raise MetricFailure(str(error)) from error
        if found is None:
            raise MetricFailure(f"{self.target} has no idea of {self.quantity}")
        return found

    def estimate(self, architecture: Architecture) -> Estimate:
        """Return all that the target says; one estimate serves every quantity of the same target and settings."""
        return _estimate(self.target, architecture, self.settings.batch_size, self.settings.precision)


def hardware_metric(quantity: str, target: str) -> type[HardwareMetric]:
    """Return the class of the metric `quantity` @ `target`.

    Raises:
        NasError: if there is no such target; close names are listed.
    """
    quick = targets.get(target).quick
    return _metric_class(quantity, target, quick)


@cache
def _metric_class(quantity: str, target: str, quick: bool) -> type[HardwareMetric]:
    unit, meaning = QUANTITIES[quantity]
    fields = {
        "__doc__": f"{meaning.capitalize()} on {target}, {unit}.",
        "__module__": __name__,
        "name": f"{quantity}@{target}",
        "unit": unit,
        "static": quick,
        "target": target,
        "quantity": quantity,
    }
    return type("HardwareMetric", (HardwareMetric,), fields)


def _family(quantity: str) -> Callable[[str], type[Metric]]:
    return lambda target: hardware_metric(quantity, target)


for _quantity in QUANTITIES:
    metrics.family(_quantity)(_family(_quantity))


@cache
def _target(name: str) -> Target:
    return get_target(name)


@lru_cache(maxsize=1024)
def _estimate(target: str, network: Network, batch_size: int | None, precision: str | None) -> Estimate:
    return _target(target).estimate(network, batch_size, precision)

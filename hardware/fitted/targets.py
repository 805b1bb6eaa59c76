"""Devices with measured networks behind them: graphics cards and processors of public tables, and this machine."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hardware.estimate import Estimate
from hardware.network import Network
from hardware.target import Target, UnsupportedError, register_target

if TYPE_CHECKING:
    from hardware.fitted.estimator import Estimator

COEFFICIENTS = Path(__file__).parent / "coefficients"


class FittedTarget(Target):
    """A device whose predictor comes with the package, as `<name>.json` among the coefficients."""

    def estimate(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return the estimate; see `Target.estimate`."""
        size, chosen = self.settle(batch_size, precision)
        return self.estimator(chosen).estimate(architecture, size)

    def estimator(self, precision: str) -> Estimator:
        """Return what makes the estimates in a precision."""
        return _shipped(self.name, COEFFICIENTS / f"{self.name}.json")


@lru_cache
def _shipped(name: str, path: Path) -> Estimator:
    from hardware.fitted.estimator import Estimator
    from hardware.fitted.predictor import Predictor

    return Estimator(name, Predictor.read(path))


@register_target
class Rtx3090(FittedTarget):
    """GeForce RTX 3090, PyTorch eager with automatic mixed precision, as timm measures."""

    name = "gpu-rtx3090"
    meaning = "GeForce RTX 3090, PyTorch, mixed fp16; throughput measured, batch 1 a model"
    precisions = ("fp16",)


@register_target
class Rtx4090(FittedTarget):
    """GeForce RTX 4090, PyTorch eager with automatic mixed precision, as timm measures."""

    name = "gpu-rtx4090"
    meaning = "GeForce RTX 4090, PyTorch, mixed fp16; throughput measured, batch 1 a model"
    precisions = ("fp16",)


@register_target
class CoreI9(FittedTarget):
    """Core i9-10940X, torch.compile, batch 1, as timm measures."""

    name = "cpu-i9-10940x"
    meaning = "Core i9-10940X, PyTorch compiled, fp32, batch 1"


@register_target
class CoreI7(FittedTarget):
    """Core i7-12700H, torch.compile, batch 1, as timm measures."""

    name = "cpu-i7-12700h"
    meaning = "Core i7-12700H, PyTorch compiled, fp32, batch 1"


class LocalTarget(Target):
    """The device of this machine, after `nas profile` has measured it.

    Attributes:
        device: the word torch knows it by.
    """

    device: ClassVar[str]

    def estimate(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return the estimate of the predictor that `nas profile` stored; see `Target.estimate`.

        Raises:
            NasError: if nothing is stored for this device, with the command that does it.
        """
        from hardware.profiling.cache import stored_estimator

        size, chosen = self.settle(batch_size, precision)
        self._require()
        return stored_estimator(self.name, self.device, chosen).estimate(architecture, size)

    def measure(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return latency, energy and memory measured here; see `Target.measure`."""
        from hardware.profiling.measure import measure_network

        size, chosen = self.settle(batch_size, precision)
        self._require()
        return measure_network(self.name, architecture, self.device, size, chosen)

    def available(self) -> str | None:
        """Return why the device cannot be measured here, None if it can."""
        from hardware.profiling.device import missing

        return missing(self.device)

    def _require(self) -> None:
        if (reason := self.available()) is not None:
            raise UnsupportedError(f"unsupported: {reason}")


@register_target
class LocalGpu(LocalTarget):
    """The first CUDA device of this machine."""

    name = "gpu-local"
    meaning = "the CUDA device of this machine, after `nas profile --target gpu-local`"
    precisions = ("fp16", "bf16", "fp32")
    device = "cuda"


@register_target
class LocalCpu(LocalTarget):
    """The processor of this machine, in as many threads as torch uses."""

    name = "cpu-local"
    meaning = "the processor of this machine, after `nas profile --target cpu-local`"
    precisions = ("fp32", "bf16")
    device = "cpu"

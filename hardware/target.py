"""The devices networks can be costed for: their common contract, and the registry that finds them by name."""

from __future__ import annotations

from typing import ClassVar

from hardware.estimate import Estimate
from hardware.network import Network
from searchspaces import NasError, Registry


class UnsupportedError(NasError):
    """A target cannot run or cost this network or setting; the message is the reason."""


class Target:
    """Base of all targets. A new one sets the class attributes and writes `estimate`.

    Attributes:
        name: the word that selects it, such as ``gpu-rtx4090``.
        meaning: one line for `nas targets`.
        precisions: what it can compute in, the default first.
        quick: whether an estimate takes well under a millisecond once warm, so that constraints on it are checked
            before a network is evaluated at all.
    """

    name: ClassVar[str]
    meaning: ClassVar[str] = ""
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    quick: ClassVar[bool] = True

    def estimate(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return what the network costs on this target; equal arguments give equal estimates on one machine.

        Args:
            architecture: of a search space, or a network of timm (`hardware.network.timm_network`).
            batch_size: images in one pass, None for 1.
            precision: one of `precisions`, None for the first.

        Raises:
            UnsupportedError: if the target cannot run the network, with the reason.
            NasError: for a batch size below 1, an unknown precision, or missing software, with the mend.
        """
        raise UnsupportedError(f"the target {self.name!r} has no predictor")

    def measure(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return what the network costs, measured on the device of this machine.

        Raises:
            UnsupportedError: if the device is not at hand, with the reason.
        """
        raise UnsupportedError(f"unsupported: the target {self.name!r} is a model; it cannot be measured here")

    def available(self) -> str | None:
        """Return why the device cannot be measured on this machine, None if it can."""
        return f"{self.name} is a model, without a device"

    def settle(self, batch_size: int | None, precision: str | None) -> tuple[int, str]:
        """Return batch size and precision with the defaults filled in.

        Raises:
            NasError: a batch size below 1 or a precision the target does not have.
        """
        size = 1 if batch_size is None else batch_size
        if type(size) is not int or size < 1:
            raise NasError(f"batch_size={size!r} must be an integer of at least 1")
        chosen = self.precisions[0] if precision is None else precision
        if chosen not in self.precisions:
            raise NasError(f"precision={chosen!r} is not one of {self.name}; it has {', '.join(self.precisions)}")
        return size, chosen


targets: Registry[type[Target]] = Registry("target", "nas.targets")


def register_target(cls: type[Target]) -> type[Target]:
    """Class decorator: make a target known under its `name`."""
    return targets.register(cls.name)(cls)


def get_target(name: str) -> Target:
    """Return the target called `name`.

    Raises:
        NasError: if there is none; close names are listed.
    """
    return targets.get(name)()

"""The targets whose networks TVM compiles in 8-bit integers. Nothing heavy is imported before one is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from hardware.estimate import Estimate, Quantity
from hardware.network import Network
from hardware.target import Target, UnsupportedError, register_target
from hardware.tvm_int8.isa import AVX2, PLAIN, VNNI, Isa, runs_here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardware.tvm_int8.table import Fit


class TvmCpuTarget(Target):
    """A processor that runs kernels of `hardware.tvm_int8`, one thread, one image at a time.

    Attributes:
        isas: instruction sets it may use, the best first.
    """

    precisions = ("int8",)
    quick = False  # kernels that the table lacks are compiled and timed first
    isas: ClassVar[tuple[Isa, ...]]

    def isa(self) -> Isa:
        """Return the instruction set it uses on this machine.

        Raises:
            UnsupportedError: if the processor has none of them.
        """
        if (reason := self._lacks()) is not None:
            raise UnsupportedError(f"unsupported: {reason}")
        return next(isa for isa in self.isas if runs_here(isa))

    def estimate(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return the estimate from the measured operator table of this machine; see `Target.estimate`."""
        from hardware.tvm_int8.kernels.common import require_tvm
        from hardware.tvm_int8.predict import table_estimate
        from hardware.tvm_int8.table import Table

        size, _ = self.settle(batch_size, precision)
        require_tvm()
        return table_estimate(self.name, architecture, size, Table(self.isa()))

    def measure(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return the CPU time of the whole network, compiled and run here with random weights; see `Target.measure`.

        A batch goes through image by image: its time is that of one image times the batch size.
        """
        from hardware.tvm_int8.network import outline
        from hardware.tvm_int8.predict import measure_network, memory_of

        size, _ = self.settle(batch_size, precision)
        if (reason := self.available()) is not None:
            raise UnsupportedError(f"unsupported: {reason}")
        isa = self.isa()
        found = outline(architecture, isa)
        milliseconds = 1e3 * size * measure_network(architecture, isa)
        latency = Quantity(milliseconds, "measured", note="least CPU time of one thread")
        details = (("instructions", isa.name), ("kernel calls", float(len(found.kernels()))))
        return Estimate(self.name, size, "int8", latency, None, memory_of(found), details=details)

    def available(self) -> str | None:
        """Return why nothing can be measured here, None if it can."""
        return self._lacks() or _lacks_tvm()

    def profile(self, networks: Sequence[Network], say: Callable[[str], None] = print) -> Fit:
        """Measure these networks whole and kernel by kernel, fit the predictor of this machine, and keep it."""
        from hardware.tvm_int8.kernels.common import require_tvm
        from hardware.tvm_int8.predict import profile
        from hardware.tvm_int8.table import Table

        require_tvm()
        return profile(networks, Table(self.isa()), say)[0]

    def _lacks(self) -> str | None:
        return None


@register_target
class TvmCpu(TvmCpuTarget):
    """The processor at hand with the best instructions it has."""

    name = "tvm-cpu"
    meaning = "int8 kernels by TVM on this processor, one thread: VNNI, AVX2 or plain loops, the best it has"
    isas = (VNNI, AVX2, PLAIN)


@register_target
class TvmCpuVnni(TvmCpuTarget):
    """A processor with AVX512-VNNI: measured where there is one, predicted from published figures elsewhere."""

    name = "tvm-cpu-vnni"
    meaning = "int8 kernels by TVM on a processor with AVX512-VNNI, one thread"
    isas = (VNNI,)
    quick = not runs_here(VNNI)

    def estimate(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return the estimate: from this machine's table where it has VNNI and TVM, from few coefficients elsewhere."""
        if self.available() is None:
            return super().estimate(architecture, batch_size, precision)
        from hardware.tvm_int8.reference import reference_estimate

        size, _ = self.settle(batch_size, precision)
        return reference_estimate(self.name, architecture, size)

    def _lacks(self) -> str | None:
        return None if runs_here(VNNI) else "this processor has no avx512_vnni; use tvm-cpu"


@register_target
class TvmCuda(Target):
    """The same integer networks on a CUDA device: plain kernels, a thread for each number or row, not tuned.

    The code is generated and compiled in tests; no CUDA device was at hand to run it.
    """

    name = "tvm-cuda"
    meaning = "int8 kernels by TVM on the CUDA device of this machine, generated but not tuned"
    precisions = ("int8",)
    quick = False

    def estimate(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Raise: this target can be measured, not predicted."""
        self.settle(batch_size, precision)
        raise UnsupportedError(
            f"unsupported: {self.available() or 'tvm-cuda has no predictor, it can be measured only'}"
        )

    def measure(self, architecture: Network, batch_size: int | None = None, precision: str | None = None) -> Estimate:
        """Return the time of the whole network with random weights; see `Target.measure`."""
        from hardware.tvm_int8.network import outline, random_plan
        from hardware.tvm_int8.predict import memory_of
        from hardware.tvm_int8.timing import time_network_on_cuda

        size, _ = self.settle(batch_size, precision)
        if (reason := self.available()) is not None:
            raise UnsupportedError(f"unsupported: {reason}")
        seconds = time_network_on_cuda(random_plan(architecture, PLAIN))
        latency = Quantity(1e3 * size * seconds, "measured", note="median wall time, images one after the other")
        return Estimate(self.name, size, "int8", latency, None, memory_of(outline(architecture, PLAIN)))

    def available(self) -> str | None:
        """Return why nothing can be measured here, None if it can."""
        import torch

        return _lacks_tvm() if torch.cuda.is_available() else "no CUDA device"


def _lacks_tvm() -> str | None:
    from importlib.util import find_spec

    from hardware.tvm_int8.kernels.common import INSTALL

    return None if find_spec("tvm") is not None else INSTALL

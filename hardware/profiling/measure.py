"""One network measured on the device of this machine: latency, energy and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware.estimate import Estimate, Quantity
from hardware.network import Network, build_network
from hardware.profiling.counter import Energy, find_counter, measure_energy
from hardware.profiling.timing import Timing, time_pass

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Run:
    """A module on its device with an input: calling `once` is one pass.

    Args:
        once: runs one pass, without waiting for a GPU to end it.
        wait: waits until the device is done.
    """

    once: Callable[[], object]
    wait: Callable[[], object]


def prepare(module: nn.Module, input_shape: tuple[int, ...], device: str, batch_size: int, precision: str) -> Run:
    """Return a module ready to be timed: in evaluation mode, all of it in one precision, on random images.

    Args:
        input_shape: without the batch.
        device: ``cuda`` or ``cpu``.
        precision: ``fp32``, ``fp16`` or ``bf16``; nothing is cast on the way, unlike with automatic mixed precision.
    """
    import torch

    number = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    module = module.eval().to(device=device, dtype=number)
    image = torch.zeros(batch_size, *input_shape, device=device, dtype=number).normal_()

    def once() -> object:
        with torch.inference_mode():
            return module(image)

    return Run(once, torch.cuda.synchronize if device == "cuda" else lambda: None)


def time_module(
    module: nn.Module, input_shape: tuple[int, ...], device: str, batch_size: int, precision: str, seconds: float = 0.5
) -> Timing:
    """Return the time of one pass of a module; see `prepare` and `time_pass`."""
    return time_pass(prepare(module, input_shape, device, batch_size, precision).once, device, seconds)


def measure_network(target: str, network: Network, device: str, batch_size: int, precision: str) -> Estimate:
    """Return what a network takes here, in place of what a predictor says.

    Energy is the counter's, without the idle power of the device; where there is no counter, `details` says why.
    Memory is what torch held at most on a GPU; on a processor nobody counts it.
    """
    import torch

    shape = (network.in_channels, network.image_size, network.image_size)
    run = prepare(build_network(network), shape, device, batch_size, precision)
    memory = None
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        run.once()
        run.wait()
        memory = Quantity(torch.cuda.max_memory_allocated() / 1e6, "measured")
    timing = time_pass(run.once, device)
    energy = energy_of(run, device)
    details: list[tuple[str, float | str]] = [
        ("quartiles of wall time, ms", f"{timing.low_ms:.4g} to {timing.high_ms:.4g}"),
        ("passes timed", float(timing.passes)),
        ("energy", f"idle power {energy.idle_w:.1f} W subtracted" if isinstance(energy, Energy) else energy),
    ]
    return Estimate(
        target=target,
        batch_size=batch_size,
        precision=precision,
        latency_ms=Quantity(timing.latency_ms, "measured", interval=(timing.low_ms, timing.high_ms), coverage=0.5),
        energy_mj=Quantity(energy.dynamic_mj, "measured") if isinstance(energy, Energy) else None,
        memory_mb=memory,
        details=tuple(details),
    )


def energy_of(run: Run, device: str) -> Energy | str:
    """Return the energy of a pass, or why it cannot be measured."""
    counter = find_counter(device)
    return counter if isinstance(counter, str) else measure_energy(run.once, counter, run.wait)

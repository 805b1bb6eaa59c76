"""How long one pass takes: warm up, repeat in blocks, and say how the blocks scatter."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BLOCKS = 5
WARM_UP_PASSES = {"cuda": 10, "cpu": 2}


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one pass.

    Args:
        latency_ms: the figure to use: on a GPU the median of the blocks; on a processor the least one, of CPU time
            where a single thread works (other programs then do not count), else of wall time.
        low_ms, high_ms: quartiles of the wall time of the blocks.
        cpu_ms: least CPU time of the calling thread.
        passes: timed in all.
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    cpu_ms: float
    passes: int


def time_pass(run: Callable[[], object], device: str, seconds: float = 0.5) -> Timing:
    """Return the time of one call of `run`.

    Args:
        run: one pass, already on its device.
        device: ``cuda`` or ``cpu``.
        seconds: to spend at least, after warming up; every block has one pass at least, on a GPU 20.
    """
    for _ in range(WARM_UP_PASSES[device]):
        run()
    once = _block(run, device, 1)[0]
    least = 20 if device == "cuda" else 1
    passes = max(least, round(1000 * seconds / BLOCKS / max(once, 1e-3)))
    blocks = [_block(run, device, passes) for _ in range(BLOCKS)]
    wall, cpu = np.array(blocks).T
    low, median, high = np.quantile(wall, (0.25, 0.5, 0.75))
    latency = median if device == "cuda" else cpu.min() if _single_thread() else wall.min()
    return Timing(float(latency), float(low), float(high), float(cpu.min()), BLOCKS * passes)


def _block(run: Callable[[], object], device: str, passes: int) -> tuple[float, float]:
    """Return wall and thread CPU time of one pass in milliseconds, the mean over a block."""
    if device == "cuda":
        import torch

        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        cpu = time.thread_time()
        first.record()
        for _ in range(passes):
            run()
        last.record()
        cpu = time.thread_time() - cpu
        torch.cuda.synchronize()
        return first.elapsed_time(last) / passes, 1000 * cpu / passes
    wall, cpu = time.perf_counter(), time.thread_time()
    for _ in range(passes):
        run()
    return 1000 * (time.perf_counter() - wall) / passes, 1000 * (time.thread_time() - cpu) / passes


def _single_thread() -> bool:
    import torch

    return torch.get_num_threads() == 1

"""How long kernels and whole networks take on the processor at hand: thread CPU time, minima of many repeats.

Other programs on the machine slow the wall clock down by any factor; the least CPU time of one thread stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hardware.tvm_int8.compile import Executable, compile_kernels
from hardware.tvm_int8.isa import PLAIN, Isa
from hardware.tvm_int8.kernels import Lookup
from hardware.tvm_int8.kernels.common import require_tvm
from hardware.tvm_int8.plan import Kernel, Plan

ROUNDS = 3  # each kernel is timed this often, the others in between
BLOCKS = 5
BLOCK_SECONDS = 0.003
SHORTEST = 2e-8  # seconds; what is left of kernels that do next to nothing


def time_kernels(kernels: Sequence[Kernel], isa: Isa, say: Callable[[str], None] | None = None) -> list[float]:
    """Return the least CPU seconds of one call of each kernel; about 0.2 s each, half of it to compile.

    What calling from Python costs (1 microsecond, as a kernel of a single number shows) is taken off.
    """
    kernels = [Lookup(1), *kernels]
    runs = []
    for first in range(0, len(kernels), 16):
        if say is not None and len(kernels) > 16:
            say(f"compiling {len(kernels)} kernels: {first} done")
        chosen = kernels[first : first + 16]
        runs += [
            _bound(function, kernel) for function, kernel in zip(compile_kernels(chosen, isa), chosen, strict=True)
        ]
    best = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for place, run in enumerate(runs):
            once = cpu_seconds(run, 2)
            count = max(1, min(1000, round(BLOCK_SECONDS / max(once, 1e-7))))
            best[place] = min(best[place], *(cpu_seconds(run, count) for _ in range(BLOCKS)))
    overhead, *seconds = best
    return [max(value - overhead, SHORTEST) for value in seconds]


def _bound(function: Any, kernel: Kernel) -> Callable[[], object]:
    """Return a call of a compiled kernel on arrays of its own."""
    tensor = require_tvm().runtime.tensor
    rng = np.random.default_rng(0)
    given = [tensor(np.ascontiguousarray(array)) for array in kernel.example(rng)]
    made = [tensor(np.zeros(argument.shape, argument.dtype)) for argument in kernel.gives()]
    return lambda: function(*given, *made)


def time_network(plan: Plan, isa: Isa, seconds: float = 2.0) -> float:
    """Return the least CPU seconds of one pass of a whole network over one image."""
    executable = Executable(plan, isa)
    image = executable.prepare(np.zeros(plan.image.shape))
    spent = 0.0
    times: list[float] = []
    while spent < seconds or len(times) < 15:
        times.append(cpu_seconds(lambda: executable.run(image), 1))
        spent += times[-1]
    return min(times)


def time_network_on_cuda(plan: Plan, passes: int = 50) -> float:
    """Return the median seconds of one pass of a whole network over one image on the CUDA device, by the wall clock."""
    executable = Executable(plan, PLAIN, cuda=True)
    image = executable.prepare(np.zeros(plan.image.shape))
    times = []
    for _ in range(passes):
        executable.device.sync()
        start = time.perf_counter()
        executable.run(image)
        executable.device.sync()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def cpu_seconds(run: Callable[[], object], count: int) -> float:
    """Return the CPU seconds of this thread for one of `count` calls."""
    start = time.thread_time_ns()
    for _ in range(count):
        run()
    return (time.thread_time_ns() - start) / count / 1e9

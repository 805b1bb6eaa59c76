"""Energy counters: NVML's for NVIDIA cards, RAPL's for processors; where there is none, the reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RAPL = Path("/sys/class/powercap")
RESOLUTION = 0.01  # share of the reading that one step of the counter may be
_AT_LEAST_S, _AT_MOST_S = 2.0, 60.0
_CHUNK_S = 0.02  # the device is waited for and the counter read so often


@dataclass(frozen=True)
class Counter:
    """A counter that only grows.

    Args:
        name: for people.
        read_mj: millijoules since some moment in the past.
    """

    name: str
    read_mj: Callable[[], float]


@dataclass(frozen=True)
class Energy:
    """Energy of one pass in millijoules.

    Args:
        total_mj: all that the counter saw.
        dynamic_mj: without what the idle device would have used meanwhile.
        idle_w: power of the idle device, watts.
        seconds: the passes ran for.
        resolution: one step of the counter as a share of the reading.
    """

    total_mj: float
    dynamic_mj: float
    idle_w: float
    seconds: float
    resolution: float


def find_counter(device: str, rapl: Path = RAPL) -> Counter | str:
    """Return the counter of a device, or why there is none, beginning with "unsupported: "."""
    return _nvml() if device == "cuda" else _rapl(rapl)


def measure_energy(run: Callable[[], object], counter: Counter, synchronise: Callable[[], object]) -> Energy | str:
    """Return the energy of one call of `run`, or why it could not be had.

    Passes are repeated until one step of the counter is below 1 % of the reading, and for 2 seconds at least: the
    counters are refreshed every 1 to 100 ms. Then the device rests for as long, which gives its idle power.
    """
    chunk = _passes_within(_CHUNK_S, run, synchronise)
    passes, step = 0, float("inf")
    synchronise()
    began, start = time.perf_counter(), counter.read_mj()
    last = start
    while True:
        for _ in range(chunk):
            run()
        synchronise()
        passes += chunk
        now = counter.read_mj()
        if now > last:
            step, last = min(step, now - last), now
        seconds = time.perf_counter() - began
        used = last - start
        if seconds >= _AT_LEAST_S and used > 0 and step <= RESOLUTION * used:
            break
        if seconds > _AT_MOST_S:
            return f"unsupported: {counter.name} did not move enough in {_AT_MOST_S:.0f} s"
    idle_w = _idle_power(counter, seconds)
    total = used / passes
    return Energy(total, max(total - idle_w * 1000 * seconds / passes, 0.0), idle_w, seconds, step / used)


def _passes_within(seconds: float, run: Callable[[], object], synchronise: Callable[[], object]) -> int:
    run()
    synchronise()
    began = time.perf_counter()
    run()
    synchronise()
    return max(1, round(seconds / max(time.perf_counter() - began, 1e-6)))


def _idle_power(counter: Counter, seconds: float) -> float:
    """Return watts while nothing runs."""
    start, began = counter.read_mj(), time.perf_counter()
    time.sleep(seconds)
    return (counter.read_mj() - start) / 1000 / (time.perf_counter() - began)


def _nvml() -> Counter | str:
    from hardware.profiling.device import missing, nvml_handle

    if (reason := missing("cuda")) is not None:
        return f"unsupported: {reason}"
    handle = nvml_handle()
    if isinstance(handle, str):
        return handle
    import pynvml

    def read() -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))

    try:
        read()
    except pynvml.NVMLError as error:
        return f"unsupported: this board has no energy counter ({error})"
    return Counter("NVML's energy counter", read)


def _rapl(folder: Path) -> Counter | str:
    """Return the sum over the packages of the machine; a package's cores and memory are zones within it."""
    zones = sorted(zone for zone in folder.glob("intel-rapl:*") if zone.name.count(":") == 1)
    if not zones:
        return f"unsupported: this machine exposes no RAPL energy counter ({folder}/intel-rapl:* is missing)"
    try:
        return Counter("RAPL", _Rapl(zones).read_mj)
    except PermissionError:
        return f"unsupported: {zones[0]}/energy_uj is readable by root only"
    except (OSError, ValueError) as error:
        return f"unsupported: {zones[0]} cannot be read ({error})"


class _Rapl:
    """Adds up the zones, and goes on where one starts again at zero."""

    def __init__(self, zones: list[Path]) -> None:
        self.zones = [zone / "energy_uj" for zone in zones]
        self.ranges = [_number(zone / "max_energy_range_uj") for zone in zones]
        self.last = [_number(zone) for zone in self.zones]
        self.total = 0

    def read_mj(self) -> float:
        """Return millijoules since this object was made."""
        for index, zone in enumerate(self.zones):
            now = _number(zone)
            grown = now - self.last[index]
            self.total += grown if grown >= 0 else grown + self.ranges[index]
            self.last[index] = now
        return self.total / 1000


def _number(path: Path) -> Any:
    return int(path.read_text())

"""Energy counters: steps, idle power, overflow, and reasons where there is none."""

from __future__ import annotations

import pytest

from hardware.profiling import counter as module
from hardware.profiling.counter import Counter, Energy, find_counter, measure_energy


class Clock:
    """Time that only passes when someone works or sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.busy = 0.0

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.busy += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: setattr(clock, "now", clock.now + seconds))
    return clock


def counter_of(clock: Clock, idle_w: float, busy_w: float, step_mj: float) -> Counter:
    """A counter that shows whole steps only."""

    def read() -> float:
        used = 1000 * (idle_w * clock.now + busy_w * clock.busy)
        return used // step_mj * step_mj

    return Counter("a counter", read)


def test_idle_power_is_subtracted(clock):
    found = measure_energy(lambda: clock.work(0.004), counter_of(clock, 20, 100, 50), lambda: None)
    assert isinstance(found, Energy)
    assert found.idle_w == pytest.approx(20, rel=0.02)
    assert found.dynamic_mj == pytest.approx(0.004 * 100 * 1000, rel=0.02)
    assert found.total_mj == pytest.approx(0.004 * 120 * 1000, rel=0.02)
    assert found.seconds >= 2


def test_passes_go_on_until_a_step_is_below_one_per_cent(clock):
    found = measure_energy(lambda: clock.work(0.01), counter_of(clock, 0, 100, 10_000), lambda: None)
    assert isinstance(found, Energy)
    assert found.resolution <= 0.01
    assert found.seconds == pytest.approx(10)  # a step is 0.1 s of 100 W


def test_a_counter_that_stands_still_is_no_zero(clock):
    found = measure_energy(lambda: clock.work(0.5), Counter("a counter", lambda: 7.0), lambda: None)
    assert isinstance(found, str)
    assert found.startswith("unsupported: a counter did not move")


def zone(folder, energy: int, limit: int = 1000):
    folder.mkdir(parents=True)
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{limit}\n")
    return folder / "energy_uj"


def test_rapl_adds_packages_and_wraps(tmp_path):
    first = zone(tmp_path / "intel-rapl:0", 900)
    second = zone(tmp_path / "intel-rapl:1", 100)
    zone(tmp_path / "intel-rapl:0:0", 500)  # cores, a part of the package
    found = find_counter("cpu", tmp_path)
    assert isinstance(found, Counter)
    assert found.read_mj() == 0
    first.write_text("50\n")
    second.write_text("300\n")
    assert found.read_mj() == pytest.approx((150 + 200) / 1000)


def test_without_rapl_the_reason_is_said(tmp_path):
    found = find_counter("cpu", tmp_path)
    assert isinstance(found, str)
    assert found.startswith("unsupported: this machine exposes no RAPL energy counter")

"""Measuring and fitting on the processor of this machine, with tiny networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hardware import UnsupportedError, get_target
from hardware.fitted.predictor import Predictor
from hardware.profiling import profile as module
from hardware.profiling.cache import profile_path
from hardware.profiling.counter import Energy
from hardware.profiling.measure import prepare
from hardware.profiling.profile import Plan, profile
from hardware.profiling.timing import time_pass
from searchspaces import NasError, get_space

TINY = Plan(("vit_resnas_digits",), 6, (1, 2), "fp32", image_size=32, seconds=0.005)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_profile_is_found_by_its_target(cache, one_thread):
    target = get_target("cpu-local")
    network = get_space("vit_resnas_digits").sample(np.random.default_rng(5)).replace(image_size=32)
    with pytest.raises(
        NasError, match=r"cpu-local has no profile .* run: nas profile --target cpu-local --precision fp32"
    ):
        target.estimate(network)
    said: list[str] = []
    found = profile("cpu-local", "cpu", TINY, say=said.append)
    assert found.path == profile_path("cpu", "fp32")
    assert found.path.is_relative_to(cache)
    assert len(said) == 12
    assert found.predictor.error["networks"] == 12  # each at two batch sizes; parts are not counted
    assert found.predictor.origin["torch"] == torch.__version__
    estimate = target.estimate(network, 2)
    assert (estimate.latency_ms.basis, estimate.precision) == ("fitted", "fp32")
    assert estimate.latency_ms.error == pytest.approx(found.predictor.error["mape"], rel=1e-3)
    assert target.estimate(network, 64).latency_ms.basis == "model"
    if found.energy:
        assert found.energy.startswith("unsupported: ")
        assert estimate.energy_mj.basis == "model"
    found.path.write_text(found.path.read_text()[:100])
    with pytest.raises(NasError, match=r"is damaged: .*; make it anew with: nas profile --target cpu-local"):
        target.estimate(network)


def test_measuring_here(one_thread):
    network = get_space("vit_resnas_digits").sample(np.random.default_rng(5)).replace(image_size=32)
    found = get_target("cpu-local").measure(network, 2, "bf16")
    assert (found.latency_ms.basis, found.batch_size, found.precision) == ("measured", 2, "bf16")
    assert found.latency_ms.value > 0
    energy = dict(found.details)["energy"]
    assert (found.energy_mj is None) == str(energy).startswith("unsupported: ")


def test_everything_runs_in_the_precision():
    run = prepare(torch.nn.Linear(8, 4), (3, 8), "cpu", 5, "bf16")
    found = run.once()
    assert found.shape == (5, 3, 4)
    assert found.dtype == torch.bfloat16
    assert not found.requires_grad


def test_timing_counts_its_passes():
    calls = []
    found = time_pass(lambda: calls.append(1), "cpu", seconds=1e-4)
    assert len(calls) == found.passes + 3  # two to warm up, one to see how long it takes
    assert found.low_ms <= found.high_ms
    assert found.latency_ms > 0


def test_networks_drawn_are_different_and_the_same_each_time():
    plan = Plan(("vit_resnas_digits", "asvit"), 8, (1,), "fp32")
    first = module._drawn(plan, np.random.default_rng(3))
    assert len(set(first)) == 8
    assert {network.space for network in first} == {"vit_resnas_digits", "asvit"}
    assert first == module._drawn(plan, np.random.default_rng(3))


def test_energy_is_fitted_to_readings():
    rng = np.random.default_rng(0)
    passes = module._Passes([], [], [], [], [], [])
    for index in range(12):
        columns = module.network_columns(get_space("vit_resnas_digits").sample(rng).replace(image_size=32))
        macs, moved = columns[: len(module.WORK)].sum() / 1e3, 4 * columns[module.MOVED].sum() / 1e3
        passes.columns.append(columns)
        passes.batch_size.append(2)
        passes.pass_ms.append(float(rng.uniform(1, 2)))
        passes.energy.append(Energy(0, 2 * (3 * macs + 5 * moved) + 0.5 * passes.pass_ms[index], 0, 2, 0.01))
    found = module._fit_energy(passes)
    assert (found.per_gmac, found.per_gbyte, found.per_ms) == pytest.approx((3, 5, 0.5), rel=1e-3)
    assert found.error < 1e-3
    passes.energy = ["unsupported: no counter"] * 12
    assert module._fit_energy(passes) == "unsupported: no counter"


def test_a_known_device_is_a_start(cache, one_thread):
    from hardware.fitted.targets import COEFFICIENTS

    source = Predictor.read(COEFFICIENTS / "cpu-i7-12700h.json")
    plan = Plan(("vit_resnas_digits",), 10, (1,), "fp32", image_size=32, seconds=0.005)
    found = profile("cpu-local", "cpu", plan, source, lambda text: None)
    assert found.predictor.origin["transferred_from"] == "Intel Core i7-12700H"
    assert found.predictor.error["networks"] == 10


def test_too_few_networks():
    with pytest.raises(NasError, match="networks=2 are too few"):
        profile("cpu-local", "cpu", Plan(("asvit",), 2, (1,), "fp32"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_cuda_device_one_sentence_says_so():
    target = get_target("gpu-local")
    network = get_space("vit_resnas_digits").sample(np.random.default_rng(5)).replace(image_size=32)
    for ask in (target.estimate, target.measure):
        with pytest.raises(UnsupportedError, match=r"unsupported: .*CUDA"):
            ask(network)
    assert "CUDA" in target.available()

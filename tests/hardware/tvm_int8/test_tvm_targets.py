"""The targets: what they say without TVM, without VNNI, without a GPU; the table and its fit."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hardware import UnsupportedError, get_target
from hardware.tvm_int8 import isa, predict, reference, table
from hardware.tvm_int8.kernels import Add, Lookup
from hardware.tvm_int8.plan import Kernel
from searchspaces import NasError, get_space

NETWORK = get_space("asvit").smallest(image_size=32)


@pytest.fixture
def no_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isa, "processor", lambda: ("toy", frozenset({"avx2"})))


# --- instruction sets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"avx2", "avx512f", "avx512bw", "avx512vl", "avx512_vnni"}, "avx512_vnni"),
        ({"avx2", "avx512f"}, "avx2"),
        ({"neon"}, "plain loops"),
    ],
)
def test_the_best_instructions_of_the_processor_are_taken(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], name: str
) -> None:
    monkeypatch.setattr(isa, "processor", lambda: ("toy", frozenset(flags)))
    assert isa.best_isa().name == name
    assert get_target("tvm-cpu").isa().name == name  # type: ignore[attr-defined]


def test_measuring_vnni_without_it_says_what_to_use(no_vnni: None) -> None:
    target = get_target("tvm-cpu-vnni")
    assert target.available() == "this processor has no avx512_vnni; use tvm-cpu"
    with pytest.raises(UnsupportedError, match="no avx512_vnni; use tvm-cpu"):
        target.measure(NETWORK)


def test_without_tvm_the_install_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tvm", None)  # an import of it now fails
    target = get_target("tvm-cpu")
    assert "pip install 'nas[tvm]'" in (target.available() or "")
    for ask in (target.estimate, target.measure):
        with pytest.raises(NasError, match=r"pip install 'nas\[tvm\]'"):
            ask(NETWORK)


def test_cuda_without_a_device_says_so() -> None:
    import torch

    target = get_target("tvm-cuda")
    if not torch.cuda.is_available():
        for ask in (target.estimate, target.measure):
            with pytest.raises(UnsupportedError, match="no CUDA device"):
                ask(NETWORK)


# --- VNNI predicted elsewhere ----------------------------------------------------------------------------------------


def test_vnni_is_predicted_where_there_is_none(no_vnni: None) -> None:
    target = get_target("tvm-cpu-vnni")
    estimate = target.estimate(NETWORK)
    assert estimate.latency_ms.basis == "model"
    assert estimate.latency_ms.error is not None
    assert "published figures" in estimate.latency_ms.note
    assert sum(share.latency_ms for share in estimate.breakdown) == pytest.approx(estimate.latency_ms.value)
    assert estimate.energy_mj is None
    assert estimate.memory_mb is not None
    assert estimate.memory_mb.basis == "model"
    batch = target.estimate(NETWORK, batch_size=4)
    assert batch.latency_ms.value == pytest.approx(4 * estimate.latency_ms.value)


def test_the_stated_error_is_that_of_the_networks_left_out() -> None:
    """Either network is predicted from DeiT-T in its own variant of the kernels, with or without the GELU's table."""
    fitted = reference.fitted()
    slow = reference.SHIFTGELU_WITHOUT_TABLE_US * 1e-6 / (197 * 768)

    def seconds(dim: int, heads: int, depth: int, table: bool) -> float:
        work = reference._deit_work(reference.Whole(dim, heads, depth, 0.0, table))
        per_unit = dict(fitted.seconds) if table else {**fitted.seconds, "activation": slow}
        return sum(per_unit[kind] * amount for kind, amount in work.items())

    small = 12.4 / seconds(192, 3, 12, True) * seconds(384, 6, 12, True) / 28.7 - 1
    other = 14.5 / seconds(192, 3, 12, False) * seconds(256, 4, 8, False) / 13.5 - 1
    assert fitted.error == pytest.approx((abs(small) + abs(other)) / 2)
    assert 0 < fitted.error < 0.1
    assert all(value > 0 for value in fitted.seconds.values())


def test_the_work_of_a_deit_is_that_of_its_plan() -> None:
    from hardware import timm_network
    from hardware.tvm_int8.network import outline

    written = reference._deit_work(reference.FITTED_NETWORK)
    traced = dict.fromkeys(reference.WORK, 0.0)
    for kernel in outline(timm_network("deit_tiny_patch16_224"), isa.VNNI).kernels():
        for kind, amount in kernel.work().items():
            if kind in traced:
                traced[kind] += amount
    for kind in ("macs", "softmax", "activation", "sums"):
        assert traced[kind] == pytest.approx(written[kind], rel=1e-3)
    assert traced["norm"] == pytest.approx(written["norm"], rel=0.05)  # the last one runs on the class token alone


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Kernel]:
    """Replace the timing by a toy: a nanosecond per number written; return the kernels asked for."""
    from hardware.tvm_int8 import timing

    asked: list[Kernel] = []

    def toy(kernels: Sequence[Kernel], *_: object) -> list[float]:
        asked.extend(kernels)
        return [1e-9 * float(np.prod(kernel.gives()[0].shape)) for kernel in kernels]

    monkeypatch.setattr(timing, "time_kernels", toy)
    return asked


def make(path: Path) -> table.Table:
    return table.Table(isa.AVX2, path)


def test_kernels_are_measured_once_and_kept(tmp_path: Path, timed: list[Kernel]) -> None:
    path = tmp_path / "cache" / "table.json"
    kernels = [Lookup(100), Add(50, "int8", "int16", "int8"), Lookup(100)]
    found = make(path).times(kernels)
    assert found[Lookup(100)] == pytest.approx(1e-7)
    assert len(timed) == 2
    assert make(path).times(kernels) == found
    assert len(timed) == 2
    assert json.loads(path.read_text())["seconds"].keys() == {
        "Lookup(size=100)",
        "Add(size=50, first='int8', second='int16', output='int8')",
    }


def test_another_process_loses_nothing(tmp_path: Path, timed: list[Kernel]) -> None:
    first, second = make(tmp_path / "t.json"), make(tmp_path / "t.json")
    first.times([Lookup(1)])
    second.times([Lookup(2)])
    assert make(tmp_path / "t.json").seconds.keys() == {"Lookup(size=1)", "Lookup(size=2)"}


def test_what_another_process_measured_meanwhile_is_taken(tmp_path: Path, timed: list[Kernel]) -> None:
    first, second = make(tmp_path / "t.json"), make(tmp_path / "t.json")
    found = first.times([Lookup(1)])
    assert second.times([Lookup(1), Lookup(2)]) == {**found, Lookup(2): pytest.approx(2e-9)}
    assert timed == [Lookup(1), Lookup(2)]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"format": "other"}', '{"format": "nas.tvm_table/1", "seconds": {"a": -1}, "fit": null}'],
)
def test_a_damaged_cache_is_named_and_made_anew(tmp_path: Path, timed: list[Kernel], text: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.warns(UserWarning, match=r"t\.json is damaged"):
        made = make(path)
    assert made.times([Lookup(3)])
    assert make(path).seconds


def test_the_cache_is_per_processor_instructions_and_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(table, "version", lambda _: "0.99")
    monkeypatch.setattr(table, "processor", lambda: ("Toy CPU @ 3 GHz", frozenset()))
    path = table.table_path(isa.AVX2)
    assert path.is_relative_to(tmp_path)
    assert path.name.startswith("toy-cpu-3-ghz-avx2-tvm0.99-")
    assert path != table.table_path(isa.VNNI)


def test_the_fit_finds_what_made_the_numbers() -> None:
    rng = np.random.default_rng(0)
    measured = []
    for _ in range(12):
        summed, weights = rng.uniform(1e-3, 4e-2), int(rng.integers(1_000_000, 60_000_000))
        calls = int(rng.integers(50, 400))
        measured.append(predict.Measured(1.1 * summed + 5e-11 * weights + 3e-7 * calls, summed, weights, calls))
    fit = predict.fit(measured)
    assert fit.factor == pytest.approx(1.1)
    assert fit.seconds_per_byte == pytest.approx(5e-11)
    assert fit.seconds_per_call == pytest.approx(3e-7)
    assert fit.error < 1e-9
    with pytest.raises(NasError, match="networks=3 are too few"):
        predict.fit(measured[:3])


def test_an_estimate_says_whether_it_was_fitted(
    tmp_path: Path, timed: list[Kernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(tmp_path / "t.json")
    plain = predict.table_estimate("tvm-cpu", NETWORK, 1, made)
    assert plain.latency_ms.basis == "model"
    assert "fits what a whole network adds" in plain.latency_ms.note
    assert dict(plain.details)["instructions"] == "avx2"
    whole = iter([1.2, 1.3, 1.25, 1.2])
    monkeypatch.setattr(predict, "measure_network", lambda *_: next(whole) * 1e-3 * plain.latency_ms.value)
    fit, _ = predict.profile([NETWORK] * 4, made, lambda _: None)
    fitted = predict.table_estimate("tvm-cpu", NETWORK, 2, make(tmp_path / "t.json"))
    assert fitted.latency_ms.basis == "fitted"
    assert fitted.latency_ms.value / plain.latency_ms.value == pytest.approx(2 * 1.236, rel=0.02)
    assert fitted.latency_ms.error == fit.error
    assert fitted.latency_ms.interval is not None
    low, high = fitted.latency_ms.interval
    assert low < fitted.latency_ms.value < high


# --- measured --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_measuring_runs_the_network_here() -> None:
    pytest.importorskip("tvm", reason="TVM is not installed (extra tvm)")
    architecture = get_space("vit_resnas_digits").smallest()
    measured = get_target("tvm-cpu").measure(architecture)
    assert measured.latency_ms.basis == "measured"
    assert measured.latency_ms.value > 0
    assert dict(measured.details)["instructions"] == isa.best_isa().name


def test_timing_a_kernel_gives_seconds() -> None:
    pytest.importorskip("tvm", reason="TVM is not installed (extra tvm)")
    from hardware.tvm_int8.timing import time_kernels

    short, long = time_kernels([Lookup(100), Lookup(1_000_000)], isa.best_isa())
    assert 0 < short < long < 1

"""The devices of public tables: what their estimates hold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hardware import get_target
from hardware.fitted.energy import analytic_energy_mj
from hardware.fitted.estimator import Estimator, part_sums
from hardware.fitted.memory import memory_mb
from hardware.fitted.predictor import Predictor
from hardware.fitted.targets import COEFFICIENTS
from hardware.network import network_parts
from searchspaces import NasError, get_space

NAMES = ("gpu-rtx3090", "gpu-rtx4090", "cpu-i9-10940x", "cpu-i7-12700h")
SPACES = ("asvit", "vit_resnas_tiny")


def drawn(space: str):
    return get_space(space).sample(np.random.default_rng(0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", SPACES)
def test_an_estimate_is_whole(name, space):
    target, network = get_target(name), drawn(space)
    found = target.estimate(network)
    assert (found.target, found.batch_size, found.precision) == (name, 1, target.precisions[0])
    assert found.latency_ms.value > 0
    assert sum(share.latency_ms for share in found.breakdown) == pytest.approx(found.latency_ms.value)
    assert len(found.breakdown) == sum(len(part_sums(part).names) for part in network_parts(network))
    assert len({share.name for share in found.breakdown}) == len(found.breakdown)
    assert all(share.latency_ms >= 0 for share in found.breakdown)
    assert found.energy_mj.basis == found.memory_mb.basis == "model"
    assert found.memory_mb.value * 1e6 > 2 * 1e6 * part_sums(network_parts(network)[0]).total.min()
    assert found == target.estimate(network)


@pytest.mark.parametrize("name", NAMES)
def test_more_images_take_longer(name):
    target, network = get_target(name), drawn("asvit")
    found = [target.estimate(network, size).latency_ms.value for size in (1, 2, 64, 128, 256, 1024)]
    assert found == sorted(found)
    assert found[-1] > 3 * found[-3]


@pytest.mark.parametrize("name", NAMES)
def test_the_coefficient_file_says_where_it_comes_from(name):
    document = json.loads((COEFFICIENTS / f"{name}.json").read_text())
    assert document["origin"]["licence"] == "Apache-2.0"
    assert {"data", "commit", "file", "script"} <= set(document["origin"])
    assert document["error"]["split"] == "5 folds by family"
    assert 0 < document["error"]["mape"] < 0.25
    assert 0.7 < document["error"]["coverage"] < 0.9


def test_a_fitted_figure_states_its_error_and_interval():
    found = get_target("gpu-rtx3090").estimate(drawn("vit_resnas_tiny"), 1024).latency_ms
    predictor = Predictor.read(COEFFICIENTS / "gpu-rtx3090.json")
    assert (found.basis, found.error) == ("fitted", predictor.error["mape"])
    low, high = found.interval
    assert low < found.value < high
    assert found.coverage == 0.8


def test_a_single_image_on_a_gpu_waits_for_launches_and_is_a_model():
    found = get_target("gpu-rtx4090").estimate(drawn("vit_resnas_tiny"), 1)
    assert (found.latency_ms.basis, found.latency_ms.error, found.latency_ms.interval) == ("model", None, None)
    assert found.latency_ms.note
    assert dict(found.details)["fitted on"] == "passes of 18.7 ms and more; mean error 12.8 % (5 folds by family)"
    assert {share.bound for share in found.breakdown} == {"launch"}


def test_cpu_tables_hold_batch_one_only():
    target, network = get_target("cpu-i7-12700h"), drawn("asvit")
    assert target.estimate(network, 1).latency_ms.basis == "fitted"
    assert target.estimate(network, 2).latency_ms.basis == "model"


def test_wrong_settings_are_one_sentence():
    target, network = get_target("gpu-rtx3090"), drawn("asvit")
    with pytest.raises(NasError, match="batch_size=0 must be"):
        target.estimate(network, 0)
    with pytest.raises(NasError, match="precision='int8' is not one of gpu-rtx3090; it has fp16"):
        target.estimate(network, 1, "int8")
    with pytest.raises(NasError, match="cannot be measured here"):
        target.measure(network)


def test_parts_predict_what_the_whole_does():
    """A network's time without correction is that of its parts: the columns add up."""
    predictor = replace(Predictor.read(COEFFICIENTS / "cpu-i7-12700h.json"), residual=None)
    network = drawn("asvit")
    whole = Estimator("x", predictor).estimate(network, 1).latency_ms.value
    columns = sum(part_sums(part).total for part in network_parts(network))
    once = predictor.coefficients[-1]  # the pass itself belongs to no part
    assert whole == pytest.approx(float(predictor.roofline_ms(columns, 1)) + once)


def test_analytic_energy_by_hand():
    """10^9 multiply-accumulates at 4.6 pJ, 10^6 numbers and 10^6 parameters of 4 bytes at 100 + 11.1 pJ a byte."""
    expected = 4.6 + 2 * 4e6 * 111.1e-9
    assert analytic_energy_mj(1e9, 1e6, 1e6, 1, "fp32") == pytest.approx(expected)
    assert analytic_energy_mj(1e9, 1e6, 0, 8, "int8") == pytest.approx(8 * (0.3 + 1e6 * 111.1e-9))


def test_memory_by_hand():
    assert memory_mb(1_000_000, 500_000, 4, "fp16") == pytest.approx(2 * 3)

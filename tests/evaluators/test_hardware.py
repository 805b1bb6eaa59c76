"""The metrics of devices: made by name, checked early, failures with reasons, and as workers get them."""

import pickle

import pytest
import toy_target

from evaluators import MetricFailure, get_metric, metrics
from evaluators.metric import measure_once
from hardware import network_cost
from searchspaces import NasError, get_space

SMALL = get_space("asvit").smallest(image_size=32)


def test_values_are_those_of_the_target():
    macs = network_cost(SMALL).macs + len(get_space("asvit").parts(SMALL))
    assert get_metric("latency_ms@toy-device").measure(SMALL, 0) == pytest.approx(macs / 1e6)
    assert get_metric("energy_mj@toy-device").measure(SMALL, 0) == pytest.approx(2 * macs / 1e6)
    settings = {"batch_size": 3, "precision": "int8"}
    assert get_metric("latency_ms@toy-device", settings).measure(SMALL, 0) == pytest.approx(3 * macs / 4e6)


def test_the_class_says_what_it_is():
    cls = metrics.get("energy_mj@toy-device")
    assert (cls.name, cls.direction, cls.unit, cls.static) == ("energy_mj@toy-device", "minimize", "mJ", True)
    assert metrics.get("energy_mj@toy-device") is cls
    assert not metrics.get("latency_ms@toy-slow-device").static
    assert metrics.get("memory_mb@toy-device").unit == "MB"
    assert "energy_mj@toy-device" not in metrics.names()


def test_what_a_target_cannot_say_is_a_failure_with_its_reason(monkeypatch):
    assert "no idea of memory_mb" in measure_once(get_metric("memory_mb@toy-device"), SMALL, 0).failure
    monkeypatch.setattr(toy_target.ToyTarget, "most_params", 10)
    other = get_space("asvit").smallest(image_size=64)
    with pytest.raises(MetricFailure, match="do not fit into 10"):
        get_metric("latency_ms@toy-device").measure(other, 0)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("latency_ms@toy-devise", {}, "unknown target 'toy-devise'; did you mean 'toy-device'"),
        ("latency@toy-device", {}, "unknown metric 'latency@toy-device'; did you mean 'latency_ms@"),
        ("latency_ms@", {}, "unknown target ''"),
        ("latency_ms@toy-device", {"batch_size": 0}, r"latency_ms@toy-device.batch_size=0"),
        ("latency_ms@toy-device", {"precision": "fp8"}, "precision='fp8' is not one of toy-device; it has fp32, int8"),
        ("latency_ms@toy-device", {"batchsize": 1}, "unknown key of latency_ms@toy-device 'batchsize'"),
    ],
)
def test_mistakes_are_named(name, settings, message):
    with pytest.raises(NasError, match=message):
        get_metric(name, settings)


def test_a_name_of_its_own_comes_before_the_family():
    assert metrics.get("accuracy@edge-moe-zcu102").direction == "maximize"


def test_they_travel_to_workers():
    metric = get_metric("latency_ms@toy-device", {"batch_size": 3})
    back = pickle.loads(pickle.dumps(metric))
    assert type(back) is type(metric)
    assert back.settings == metric.settings

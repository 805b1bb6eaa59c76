"""`nas targets`, `predict`, `measure` and the drawing of the operators, as a person types them."""

import json
from xml.etree import ElementTree

import pytest
import toy_target

from hardware import Quantity, network_cost, targets
from nas.report.wording import TIMES
from searchspaces import get_space


def test_targets_are_listed(nas):
    status, out, _ = nas("targets --json")
    listed = {entry["name"]: entry for entry in json.loads(out)}
    assert status == 0
    assert set(listed) == set(targets.names())
    toy = listed["toy-device"]
    assert (toy["precisions"], toy["quick"], toy["measurable"]) == (["fp32", "int8"], True, False)
    assert "without a device" in toy["why_not"]
    assert "toy-device" in nas("targets")[1]


def test_a_prediction_is_whole(nas):
    status, out, _ = nas("predict asvit_small --target toy-device --target toy-slow-device --batch-size 2 --json")
    found = json.loads(out)
    assert status == 0
    assert [entry["target"] for entry in found["targets"]] == ["toy-device", "toy-slow-device"]
    first = found["targets"][0]
    macs = network_cost(get_space("asvit").published()["asvit_small"]).macs
    assert first["latency_ms"]["value"] == pytest.approx(2 * macs / 1e6, rel=1e-3)
    assert (first["batch_size"], first["precision"], first["latency_ms"]["error"]) == (2, "fp32", 0.05)
    assert sum(share["ms"] for share in first["breakdown"]) == pytest.approx(first["latency_ms"]["value"])


def test_a_prediction_for_people(nas):
    status, out, _ = nas("predict asvit_small --target toy-device")
    assert status == 0
    for text in ("asvit_small on toy-device, 224 px, 1 image, fp32", "fitted", "5 %; 80 % within", "stage1.block1"):
        assert text in out
    assert "not known" in out  # memory


def test_networks_of_timm_are_predicted(nas):
    status, out, _ = nas("predict timm:deit_tiny_patch16_224 --target toy-device --image-size 192 --json")
    assert status == 0
    assert json.loads(out)["targets"][0]["latency_ms"]["value"] > 500


def test_what_cannot_run_says_why(nas, monkeypatch):
    monkeypatch.setattr(toy_target.ToyTarget, "most_params", 10)
    status, out, err = nas("predict asvit_small --target toy-device --json")
    assert status == 1
    assert "do not fit into 10" in err
    assert "do not fit into 10" in json.loads(out)["targets"][0]["unsupported"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("predict asvit_small --target toy-devise", "unknown target 'toy-devise'; did you mean 'toy-device'"),
        ("predict asvit_small --target toy-device --batch-size 0", "batch_size=0 must be an integer of at least 1"),
        ("predict asvit_small --target toy-device --precision fp8", "precision='fp8' is not one of toy-device"),
        ("predict asvit_smal --target toy-device", "unknown file or published network 'asvit_smal'"),
        ("predict timm:deit_tiny --target toy-device", "unknown timm network 'deit_tiny'"),
        ("predict none.json --target toy-device", "none.json: no such file"),
        ("describe asvit_small --graph out.png", "graph='out.png' must be the name of an SVG file"),
        ("describe asvit_small --graph nowhere/out.svg", "cannot be written"),
        ("search --minimize latency_ms@toy-devise", "unknown target 'toy-devise'"),
        ("score asvit_small --metric latency_ms@toy-devise", "unknown target 'toy-devise'"),
    ],
)
def test_mistakes_are_one_sentence(nas, line, message):
    status, out, err = nas(line)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_measuring_without_the_device(nas):
    status, _, err = nas("measure asvit_small --target toy-device")
    assert status == 1
    assert "toy-device: unsupported: " in err


def test_measuring_beside_the_prediction(nas, monkeypatch):
    def measure(self, architecture, batch_size=None, precision=None):
        import dataclasses

        found = self.estimate(architecture, batch_size, precision)
        return dataclasses.replace(found, latency_ms=Quantity(found.latency_ms.value / 2, "measured"), energy_mj=None)

    monkeypatch.setattr(toy_target.ToyTarget, "measure", measure)
    status, out, _ = nas("measure asvit_small --target toy-device --json")
    found = json.loads(out)
    assert status == 0
    assert found["measured"]["latency_ms"]["basis"] == "measured"
    assert found["difference"] == {"latency_ms": pytest.approx(1.0)}
    status, out, _ = nas("measure asvit_small --target toy-device")
    assert "+100.0 %" in out
    assert "no" in out


def test_scores_take_settings(nas):
    line = "score asvit_small --metric latency_ms@toy-device --set latency_ms@toy-device.batch_size=4 --json"
    status, out, _ = nas(line)
    value = json.loads(out)["metrics"]["latency_ms@toy-device"]
    macs = network_cost(get_space("asvit").published()["asvit_small"]).macs
    assert status == 0
    assert value["value"] == pytest.approx(4 * macs / 1e6, rel=1e-3)
    assert (value["unit"], value["direction"]) == ("ms", "minimize")


def test_metrics_name_the_families(nas):
    listed = json.loads(nas("metrics --json")[1])
    for name in ("latency_ms@TARGET", "energy_mj@TARGET", "memory_mb@TARGET"):
        assert set(listed[name]["settings"]) == {"batch_size", "precision"}
        assert "nas targets" in listed[name]["meaning"]


def test_square_brackets_are_shown(nas, monkeypatch):
    monkeypatch.setattr(toy_target.ToyTarget, "available", lambda self: "pip install 'nas[tvm]'")
    assert "pip install 'nas[tvm]'" in nas("targets")[1]


def test_a_search_takes_batch_size_and_precision(nas):
    line = "search --space toy --strategy random --trials 4 --minimize latency_ms@toy-device --image-size 8 --no-scale"
    status, out, err = nas(f"{line} --batch-size 8 --precision int8 --executor inline --out run --json")
    assert status == 0, err
    (costs,) = json.loads(out)["winner"]["architecture"]["provenance"]["costs"]
    assert (costs["batch_size"], costs["precision"]) == (8, "int8")


@pytest.mark.parametrize("network", ["asvit_small", "timm:swin_tiny_patch4_window7_224"])
def test_the_operators_are_drawn(nas, tmp_path, network):
    status, out, err = nas(f"describe {network} --graph out.svg")
    assert (status, out.strip()) == (0, "out.svg")
    assert "operators" in err
    root = ElementTree.parse(tmp_path / "out.svg").getroot()
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == network
    assert any(f"{TIMES} " in text for text in texts)  # repeated blocks are drawn once
    assert json.loads(nas(f"describe {network} --graph out.svg --json")[1])["operators"] > 50

"""The targets: estimates of architectures, reasons for those that cannot run, and other spaces' networks."""

import math

import numpy as np
import pytest

from hardware import UnsupportedError, get_target, network_cost
from hardware.edge_moe.kernels import linear_cycles, load_cycles
from hardware.edge_moe.operators import operator_kernels, part_cost
from hardware.edge_moe.platform import Platform
from hardware.edge_moe.rules import require_runnable
from hardware.edge_moe.targets import EdgeMoeGeneral, EdgeMoeZcu102
from hardware.graph import Operator
from searchspaces import NasError, get_space
from searchspaces.m3vit import Dense, Experts, Network

ZCU102, GENERAL = get_target("edge-moe-zcu102"), get_target("edge-moe-general")


def test_the_shipped_network(shipped, vectors):
    published = {entry["id"]: entry for entry in vectors["published"]}
    found = ZCU102.estimate(shipped)
    assert found.latency_ms.value == pytest.approx(published["edge_moe_zcu102_latency"]["latency_ms"], rel=0.10)
    assert (found.latency_ms.basis, found.latency_ms.error) == ("model", None)
    assert "calibrated on one published point" in found.latency_ms.note
    assert "calibrated on one published point" in found.energy_mj.note
    details = dict(found.details)
    assert (details["DSP"], details["BRAM36"], details["power W"]) == (1766, 410, pytest.approx(14.54))
    assert found.energy_mj.value == pytest.approx(details["power W"] * found.latency_ms.value)
    assert math.fsum(share.latency_ms for share in found.breakdown) == pytest.approx(found.latency_ms.value)
    assert len({share.name for share in found.breakdown}) == len(found.breakdown)
    assert found.precision == "w16a32"


def test_energy_of_the_published_latency(shipped, vectors):
    """Power times the published latency, and the ratios to GPU and CPU that the paper states."""
    published = {entry["id"]: entry for entry in vectors["published"]}
    power = dict(ZCU102.estimate(shipped).details)["power W"]
    joule = power * published["edge_moe_zcu102_latency"]["latency_ms"] / 1000
    energy = published["edge_moe_power_energy"]
    assert joule == pytest.approx(energy["energy_j_per_image"], rel=energy["tolerance_rel"])
    assert joule == pytest.approx(0.5175, rel=0.05)
    for name in ("edge_moe_vs_gpu", "edge_moe_vs_cpu"):
        baseline = published[name]
        assert baseline["energy_j_per_image_baseline"] / joule == pytest.approx(baseline["ratio_energy"], rel=0.05)


def test_macs_of_the_torch_module_are_those_of_the_vectors(shipped, vectors):
    """Two descriptions of one network: the module that is trained, and the one that is costed."""
    by_name = {vector["name"]: vector for vector in vectors["model_vectors"]}
    classifier = 192 * shipped.num_classes
    assert network_cost(shipped).macs - classifier == by_name["shipped_balanced"]["macs"]
    eight = shipped.replace(choices={"experts": 8})
    assert network_cost(eight).macs - classifier == by_name["experts_8"]["macs"]


def test_a_batch_runs_image_after_image(shipped):
    one, four = ZCU102.estimate(shipped), ZCU102.estimate(shipped, batch_size=4)
    assert four.latency_ms.value == pytest.approx(4 * one.latency_ms.value)
    assert four.energy_mj.value == pytest.approx(4 * one.energy_mj.value)
    assert sum(s.latency_ms for s in four.breakdown) == pytest.approx(four.latency_ms.value)
    assert ZCU102.estimate(shipped, batch_size=4) == four


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_impossible_batches_are_refused(shipped, size):
    with pytest.raises(NasError, match="batch_size="):
        ZCU102.estimate(shipped, batch_size=size)


def test_unknown_precision_is_refused(shipped):
    with pytest.raises(NasError, match="precision='fp32' is not one of edge-moe-zcu102; it has w16a32"):
        ZCU102.estimate(shipped, precision="fp32")


def test_measuring_says_that_it_is_a_model(shipped):
    with pytest.raises(UnsupportedError, match="is a model"):
        ZCU102.measure(shipped)
    assert "without a device" in ZCU102.available()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dim": 200, "heads": 5}, "width=200 is no multiple of 16"),
        ({"heads": 5}, "width=192 cannot be shared by heads=5"),
        ({"heads": 16}, "a head of 12 channels is no multiple of 8"),
        ({"layers": (Dense(100),)}, "layer 1 has hidden=100, no multiple of 16"),
        ({"layers": (Experts(8, 2, 64), Experts(16, 2, 64))}, "differ in experts or top_k"),
        ({"width": 240}, "240 pixels wide with patch=16"),
        ({"height": 16, "width": 32}, "queries=4 in flight need more than 3 tokens"),
        ({"dim": 768, "heads": 12, "layers": (Dense(3072), Experts(16, 2, 1536))}, "does not fit.*2467 BRAM36 of 912"),
    ],
)
def test_what_the_design_cannot_run_is_told(change, reason):
    sizes = Network(3, 128, 256, 16, 192, 3, (Dense(768), Experts(16, 2, 384)))._replace(**change)
    p = Platform()
    with pytest.raises(UnsupportedError, match=reason):
        require_runnable(p, sizes)


@pytest.mark.parametrize(
    ("space", "reason"), [("asvit", "stages of different widths"), ("vit_resnas_tiny", "stages of different widths")]
)
def test_networks_of_other_kinds_are_refused_with_the_reason(space, reason):
    network = get_space(space).smallest(image_size=112)
    with pytest.raises(UnsupportedError, match=f"{reason}.*edge-moe-general estimates others"):
        ZCU102.estimate(network)


def test_knobs_of_the_accelerator_are_decisions():
    space = get_space("m3vit_codesign")
    start = get_space("m3vit").published()["m3vit_tiny_cityscapes"].choices
    found = {}
    for queries in (1, 4, 8, 16):
        choices = {**start, "accelerator.tile": 16, "accelerator.queries": queries}
        network = space.architecture(choices, image_size=128, num_classes=19)
        if queries < 16:
            found[queries] = ZCU102.estimate(network)
        else:
            with pytest.raises(UnsupportedError, match="does not fit: needs 2942 DSP of 2520"):
                ZCU102.estimate(network)
    assert found[1].latency_ms.value > found[4].latency_ms.value > found[8].latency_ms.value
    assert dict(found[8].details)["DSP"] == 2158
    assert "uncalibrated" in found[8].energy_mj.note
    assert (
        EdgeMoeZcu102(Platform(queries=8)).estimate(get_space("m3vit").published()["m3vit_tiny_cityscapes"]).latency_ms
        == found[8].latency_ms
    )


# --- any network ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("space", "size"), [("asvit", 224), ("vit_resnas_tiny", 224), ("vit_resnas_digits", 32)])
def test_networks_of_other_spaces_are_scored(space, size):
    rng = np.random.default_rng(0)
    for network in (get_space(space).smallest(image_size=size), get_space(space).sample(rng, image_size=size)):
        found = GENERAL.estimate(network)
        assert found.latency_ms.basis == "model"
        assert "no such bitstream exists" in found.latency_ms.note
        assert "no such bitstream exists" in found.energy_mj.note
        assert math.fsum(s.latency_ms for s in found.breakdown) == pytest.approx(found.latency_ms.value)
        assert not any(share.name.startswith("head.") for share in found.breakdown)
        larger = GENERAL.estimate(network.replace(image_size=2 * size))
        assert larger.latency_ms.value > found.latency_ms.value


def test_the_general_reading_agrees_with_the_design():
    """A dense isotropic network by its operators takes what its schedule takes, up to how Q, K and V are called."""
    p = Platform()
    choices = {"width": 192, "heads": 3, "depth": 6}
    dense = {f"layer{i}.ffn": "dense" for i in range(1, 7)} | {f"layer{i}.ratio": 4 for i in range(1, 7)}
    space = get_space("m3vit")
    network = space.architecture({**choices, **dense}, image_size=224)
    exact = dict(ZCU102.estimate(network).details)["cycles per image"]
    read = sum(kernel.cycles for part in space.parts(network)[1:-1] for _, kernel in part_cost(p, part).kernels)
    stem = sum(s.latency_ms for s in ZCU102.estimate(network).breakdown if s.name.startswith("stem"))
    assert read == pytest.approx(exact - stem * p.clock_mhz * 1e3, rel=0.01)
    whole = GENERAL.estimate(network)
    assert whole.latency_ms.value == ZCU102.estimate(network).latency_ms.value
    assert "no such bitstream" in whole.latency_ms.note


def test_windows_are_calls_of_their_own():
    def scores(windows):
        sizes = {"heads": 4, "windows": windows, "tokens": 49, "keys": 49, "head_dim": 16}
        return Operator("scores", "attention_scores", (), (windows * 4, 49, 49), attributes=tuple(sizes.items()))

    p = Platform()
    (one,), (many,) = (list(operator_kernels(p, scores(windows))) for windows in (1, 16))
    assert many.cycles == pytest.approx(16 * one.cycles)
    assert many.dram_bytes == 16 * one.dram_bytes


def test_large_layers_run_in_pieces():
    sizes = {"tokens": 50, "in_features": 512, "out_features": 1000}
    layer = Operator("fc", "matmul", ((50, 512),), (50, 1000), attributes=tuple(sizes.items()))
    p = Platform(weight_buffer=512 * 400)
    load, compute = operator_kernels(p, layer)
    pieces = (334, 334, 332)
    assert load.cycles == pytest.approx(sum(load_cycles(p, 512, size) for size in pieces))
    assert compute.cycles == pytest.approx(sum(linear_cycles(p, 50, 512, size)[0] for size in pieces))


def test_a_device_that_is_too_small_is_told():
    network = get_space("asvit").smallest(image_size=64)
    with pytest.raises(UnsupportedError, match=r"does not fit: needs .* DSP of 100"):
        EdgeMoeGeneral(Platform(dsp=100)).estimate(network)

"""Super-networks against numbers from the authors' code, and against masked computing."""

import importlib.util
import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from supernet_spaces import fill, member, numbers
from torch.nn import functional as F

from evaluators.supernet import Supernet
from evaluators.supernet.gradients import GradientBuffer
from evaluators.supernet.mixing import Targets
from evaluators.supernet.rewiring import rewire
from evaluators.supernet.sampling import open_count
from evaluators.supernet.step import interleaved_step, loss_of
from searchspaces import get_space

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "tests" / "data" / "vit_resnas_supernet.json").read_text())
SUBS = {result["sub"]: result for result in VECTORS["slicing"]["results"]}


def network(name):
    return member("vit_resnas_micro", SUBS[name]["sub_network_def"], 112)


@pytest.fixture
def micro():
    supernet = Supernet(network("full"), patch_head=True).double().eval()
    fill(supernet)
    return supernet


@pytest.fixture(scope="module")
def masked_forward():
    """The masked definition, as the benchmark has it."""
    spec = importlib.util.spec_from_file_location("supernet_speed", ROOT / "benchmarks" / "supernet_speed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.masked_forward


IMAGES = 2 * numbers((4, 3, 112, 112), 999)


@pytest.mark.parametrize("name", SUBS)
def test_slicing(micro, name):
    with torch.no_grad():
        logits = micro(IMAGES, network(name))
    for sample in (0, 3):
        assert logits[sample].tolist() == pytest.approx(SUBS[name][f"logits_sample{sample}"], rel=0, abs=1e-9)
    extracted = micro.extract(network(name))
    dim = extracted.head.classifier.in_features
    params = sum(p.numel() for p in extracted.parameters()) + (dim + 1) * 10
    assert params == SUBS[name]["params_with_patch_head"]


@pytest.mark.parametrize("result", VECTORS["multi_arch_batch"]["results"], ids=lambda result: str(len(result["archs"])))
def test_multi_arch_batch(micro, masked_forward, result):
    architectures = [network(name) for name in result["archs"]]
    wanted = F.one_hot(torch.tensor(result["targets"]), 10).double()
    targets = Targets(wanted, wanted[:, None, :].repeat(1, 4, 1))
    buffer = GradientBuffer(micro)
    loss = interleaved_step(micro, buffer, IMAGES, targets, architectures, nullcontext)
    assert loss.item() == pytest.approx(result["loss_mean_of_separate"], rel=0, abs=1e-7)
    assert buffer.flat.norm().item() == pytest.approx(result["grad_global_l2_norm"], rel=1e-7)
    sliced = buffer.flat.clone()
    buffer.flat.zero_()
    outputs = masked_forward(micro, IMAGES, architectures)
    for place, architecture in enumerate(architectures):
        rows = slice(place, None, len(architectures))
        torch.testing.assert_close(micro(IMAGES[rows], architecture), outputs.classes[rows], rtol=0, atol=1e-12)
    masked_loss = loss_of(outputs, targets)
    masked_loss.backward()
    assert loss.item() == pytest.approx(masked_loss.item(), rel=1e-12)
    torch.testing.assert_close(sliced, buffer.flat, rtol=0, atol=1e-12)


def test_rewiring(micro):
    expected = VECTORS["rewiring"]
    with torch.no_grad():
        before = micro(IMAGES)
        orders = rewire(micro.network)
        assert (micro(IMAGES) - before).abs().max() < 1e-13
        narrow = micro(IMAGES, network("narrow_all"))[0]
    places = ("stage1_block1", "stage1_block2", "stage2_block1", "stage2_block2", "stage3_block1")
    for place, wanted in zip(places, expected["new_order_of_old_indices"].values(), strict=True):
        assert orders[f"body.{place}.attention"].tolist() == wanted["head_order"]
        assert orders[f"body.{place}.mlp"].tolist()[:12] == wanted["mlp_hidden_order_first12"]
    # these logits are from masked computing, where the authors keep the share of alive channels in float32
    assert narrow.tolist() == pytest.approx(expected["narrow_all_after_rewiring_logits_sample0"], rel=0, abs=2e-7)


def test_open_choices():
    for total, counts in VECTORS["sampler"]["open_counts"].items():
        assert [open_count(int(total), epoch, 30) for epoch in range(len(counts))] == counts


@pytest.mark.slow
def test_slicing_of_the_tiny_space():
    space = get_space("vit_resnas_tiny")
    supernet = Supernet(space.largest(), patch_head=True).double().eval()
    fill(supernet)
    images = 2 * numbers((2, 3, 224, 224), 999)
    for result in VECTORS["tiny"]["results"]:
        with torch.no_grad():
            logits = supernet(images, member("vit_resnas_tiny", result["sub_network_def"], 224))
        assert logits[0, :8].tolist() == pytest.approx(result["cls_logits_first8_sample0"], rel=0, abs=1e-7)

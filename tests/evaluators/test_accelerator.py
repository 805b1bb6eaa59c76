"""The metric `accuracy@edge-moe-zcu102`: from trained weights, or after a training of its own."""

import pytest
import torch

from evaluators import evaluate, get_metric
from evaluators.training import load_trained, recipe_for, train
from searchspaces import get_space

NAME = "accuracy@edge-moe-zcu102"
SIZES = {"image_size": 32, "in_channels": 1, "num_classes": 10}
MIXED = {
    **{"width": 32, "heads": 2, "depth": 2, "experts": 2, "top_k": 1, "layer1.ffn": "dense", "layer1.ratio": 2},
    **{"layer2.ffn": "moe", "layer2.expert_ratio": 1},
}
NETWORK = get_space("m3vit_digits").architecture(MIXED, **SIZES)
RECIPE = {"epochs": 2, "threads": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    result = train(NETWORK, "digits", folder / "one", recipe_for("digits", RECIPE))
    return folder, result


def measure(network, **settings):
    (found,) = evaluate(get_metric(NAME, settings), [network])
    return found


def test_trained_weights_keep_their_accuracy(run):
    folder, result = run
    found = measure(NETWORK, trained=str(folder / "one"))
    assert found.failure is None
    assert found.value == pytest.approx(result.validation_accuracy, abs=0.03)
    assert measure(NETWORK, trained=str(folder)).value == found.value, "a folder that holds the run"


def test_damaged_weights_lose_it(run, tmp_path):
    """The weights are read, and the emulation sees them: with a classifier of zeros one class is left."""
    from evaluators.training.trained import save_weights

    folder, _ = run
    model, architecture = load_trained(folder / "one")
    torch.nn.init.zeros_(model.head.classifier.weight)
    torch.nn.init.zeros_(model.head.classifier.bias)
    save_weights(tmp_path, model)
    architecture.write(tmp_path / "architecture.json")
    assert measure(NETWORK, trained=str(tmp_path)).value < 0.2


def test_without_weights_the_network_is_trained(run):
    folder, _ = run
    found = measure(NETWORK, epochs=2, recipe={"threads": 1})
    assert found.value == measure(NETWORK, trained=str(folder)).value


def test_missing_weights_are_told(run):
    folder, _ = run
    other = get_space("m3vit_digits").architecture({**MIXED, "width": 64}, **SIZES)
    assert "holds no weights of this network" in measure(other, trained=str(folder)).failure


def test_networks_the_accelerator_cannot_run_are_told():
    assert "stages of different widths" in measure(get_space("asvit").smallest(), epochs=1).failure


def test_knobs_of_the_accelerator_need_no_weights_of_their_own(run, tmp_path):
    from evaluators.accelerator import find_trained

    start = {**get_space("m3vit").published()["m3vit_tiny_cityscapes"].choices, "accelerator.tile": 16}
    few, many = (
        get_space("m3vit_codesign").architecture({**start, "accelerator.queries": n}, image_size=128) for n in (4, 8)
    )
    few.write(tmp_path / "architecture.json")
    assert find_trained(tmp_path, many) == tmp_path

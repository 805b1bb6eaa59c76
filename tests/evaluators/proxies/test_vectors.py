"""The 12 reference networks: values computed by the authors' classes, and the ranking of random draws."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from torch import nn

from evaluators import get_metric
from evaluators.proxies.curve import length_terms
from evaluators.proxies.initialise import remove_norms
from evaluators.proxies.kernel import ntk_gram
from searchspaces import Architecture, get_space
from searchspaces.asvit import read_genotype

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "asvit.json").read_text())
NAMES = [entry["id"] for entry in VECTORS]
REPEATS = 12


def stream(number: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Return numbers in [-1, 1) that follow from their place alone, float64."""
    x = np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(number) * np.uint64(2**40)
    with np.errstate(over="ignore"):
        z = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return torch.from_numpy(2.0 * (z >> np.uint64(11)).astype(np.float64) / 2.0**53 - 1.0).reshape(shape)


def architecture(entry: dict, **sizes: int) -> Architecture:
    choices = read_genotype(entry["genotype"])
    check = entry["deterministic_check"]
    choices["width"] = check["hidden"]
    choices |= {f"stage{i}.depth": depth for i, depth in enumerate(check["depths"], 1)}
    return get_space("asvit").architecture(choices, **sizes)


def deterministic_network(entry: dict) -> nn.Module:
    network = get_space("asvit").build(architecture(entry, image_size=64, num_classes=10)).double().eval()
    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        for number, layer in enumerate(layers):
            layer.weight.copy_((0.02 * math.sqrt(3.0) * stream(number, layer.weight.shape)).float().double())
            if layer.bias is not None:
                layer.bias.zero_()
    return network


def images() -> torch.Tensor:
    return torch.stack([math.sqrt(3.0) * stream(2000 + i, (3, 64, 64)) for i in range(4)])


@pytest.mark.parametrize("entry", VECTORS, ids=NAMES)
def test_network_and_kernel_match_the_authors_classes(entry: dict) -> None:
    check = entry["deterministic_check"]
    network = deterministic_network(entry)
    with torch.no_grad():
        logits, pooled = network(images()), network.forward_features(images())
    assert logits[0].tolist() == pytest.approx(check["logits_image0"], rel=1e-9)
    assert logits[3, :3].tolist() == pytest.approx(check["logits_image3_first3"], rel=1e-9)
    assert pooled.norm(dim=1).tolist() == pytest.approx(check["prenorm_pooled_feature_l2_per_image"], rel=1e-9)
    gram = ntk_gram(network, images())
    eigenvalues = torch.linalg.eigvalsh(gram)
    assert gram[0].tolist() == pytest.approx(check["ntk_gram_row0"], rel=1e-9)
    assert eigenvalues.tolist() == pytest.approx(check["ntk_eigenvalues"], rel=1e-9)
    assert (eigenvalues[-1] / eigenvalues[0]).item() == pytest.approx(check["ntk_condition"], rel=1e-9)


@pytest.mark.parametrize("entry", VECTORS, ids=NAMES)
def test_length_matches_the_authors_loop(entry: dict) -> None:
    check = entry["deterministic_check"]
    network = deterministic_network(entry)
    remove_norms(network)
    first, second = stream(1000, (3, 64, 64)), stream(1001, (3, 64, 64))
    first = first / first.norm()
    second = second - (second * first).sum() * first
    terms = length_terms(network, first, second / second.norm(), points=10, radius=1.0)
    assert terms.tolist() == pytest.approx(check["length_distortion_terms"], rel=1e-9)
    assert terms.sum().item() == pytest.approx(check["length_distortion"], rel=1e-9)


@pytest.mark.slow
def test_random_draws_agree_with_the_authors_in_rank_and_mean() -> None:
    lengths, targets = [], []
    for entry in VECTORS:
        network = architecture(entry, image_size=64)
        for name, key in (("length", "length_distortion"), ("ntk", "ntk_condition_gaussian_inputs_batch16")):
            target = entry["random_init_64"][key]
            metric = get_metric(name, {"initialisation": "independent"})
            values = [metric.measure(network, repeat) for repeat in range(REPEATS)]
            # The reference has three values of `ntk`: too few to know their spread by themselves.
            count = target["n"]
            squares = (REPEATS - 1) * np.var(values, ddof=1) + (count - 1) * target["std"] ** 2
            error = math.sqrt(squares / (REPEATS + count - 2) * (1 / REPEATS + 1 / count))
            assert abs(np.mean(values) - target["mean"]) <= 3.0 * error, f"{name} of {entry['genotype']}: {values}"
            if name == "length":
                lengths.append(np.mean(values))
                targets.append(target["mean"])
    assert kendalltau(lengths, targets).statistic >= 0.85

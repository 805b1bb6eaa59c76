"""How well inherited weights rank sub-networks: Kendall tau against the same networks trained alone, on digits.

Usage: python benchmarks/supernet_ranking.py [--networks 16] [--epochs 8] [--seeds 2] [--supernet DIR] [--json FILE]

Digits as they are get the same accuracy from every network, so that there is nothing to rank: here they are turned,
moved and stretched far more than usual, in training and in the test. Trains a super-network of `vit_resnas_digits`
(or loads one), takes sub-networks spread evenly from the smallest to the largest, trains each alone with several
seeds, and prints both accuracies, tau, and its 95 % interval over resampled networks. Accuracies are on ten distorted
copies of the validation and test images, which no training saw. Takes about 40 minutes of CPU time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from evaluators.supernet import load_supernet, subnet_accuracy, supernet_recipe_for, train_supernet
from evaluators.supernet.evaluation import CachedSplit, cache_split
from evaluators.training import load_trained, recipe_for, train
from evaluators.training.data import load_data
from evaluators.training.digits import random_affine, warp
from hardware import network_cost
from searchspaces import Architecture, get_space

SPACE = "vit_resnas_digits"
SIZES = {"image_size": 32, "in_channels": 1, "num_classes": 10}
DISTORTION = {"rotation": 60.0, "shift": 0.2, "zoom": 0.5, "precision": "fp32"}


def sub_networks(count: int) -> list[Architecture]:
    """Return networks whose MACs are spread evenly, by ratio, from the smallest to the largest network."""
    space, rng = get_space(SPACE), np.random.default_rng(0)
    smallest, largest = space.smallest(**SIZES), space.largest(**SIZES)
    pool = {smallest, largest} | {space.sample(rng, **SIZES) for _ in range(400)}
    for probability in (0.1, 0.2, 0.4, 0.6):  # uniform draws are all of middle size
        pool |= {space.mutate(end, rng, probability) for end in (smallest, largest) for _ in range(200)}
    ordered = sorted(pool, key=lambda architecture: (network_cost(architecture).macs, architecture.key))
    macs = np.log([network_cost(architecture).macs for architecture in ordered])
    places = [int(np.abs(macs - target).argmin()) for target in np.linspace(macs[0], macs[-1], count)]
    return [ordered[place] for place in dict.fromkeys(places)]


def unseen_images(copies: int = 10) -> CachedSplit:
    """Return distorted copies, always the same, of the validation and test images of digits."""
    import torch

    recipe = recipe_for("digits", DISTORTION)
    splits = load_data("digits", None, recipe)
    parts = [cache_split(split) for split in (splits.validation, splits.test)]
    images, labels = torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts])
    rng = np.random.default_rng(0)
    distorted = [warp(images, random_affine(len(images), rng, recipe)) for _ in range(copies)]
    return CachedSplit(torch.cat(distorted), labels.repeat(copies))


def trained_alone(architecture: Architecture, images: CachedSplit, epochs: int, seeds: int) -> float:
    """Return the mean accuracy of the network trained from scratch."""
    import torch

    found = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as directory:
            recipe = {**DISTORTION, "epochs": epochs, "warmup_epochs": 1, "seed": seed, "threads": 1}
            train(architecture, "digits", directory, recipe_for("digits", recipe))
            network, _ = load_trained(directory)
            with torch.inference_mode():
                pairs = zip(images.images.split(512), images.labels.split(512), strict=True)
                right = [network(x).argmax(1) == y for x, y in pairs]
            found.append(torch.cat(right).double().mean().item())
    return float(np.mean(found))


def interval(inherited: np.ndarray, alone: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of tau over networks drawn with replacement."""
    rng = np.random.default_rng(0)
    places = rng.integers(len(alone), size=(2000, len(alone)))
    taus = [kendalltau(inherited[some], alone[some]).statistic for some in places]
    low, high = np.nanpercentile(taus, (2.5, 97.5))
    return float(low), float(high)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--supernet-epochs", type=int, default=30)
    parser.add_argument("--rule", choices=("multi", "single", "sandwich"), default="sandwich")
    parser.add_argument("--supernet-seed", type=int, default=0)
    parser.add_argument("--supernet", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None, help="write the table there, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = options.supernet or Path(scratch)
        if options.supernet is None:
            recipe = {**DISTORTION, "epochs": options.supernet_epochs, "choice_warmup_epochs": 2, "threads": 1}
            if options.rule == "sandwich":  # three networks a step: the largest, the smallest and a drawn one
                recipe |= {"architectures": 1, "distill": False}
            recipe |= {"rule": options.rule, "seed": options.supernet_seed}
            train_supernet(SPACE, "digits", directory, supernet_recipe_for("digits", recipe), progress=print)
        networks, images = sub_networks(options.networks), unseen_images()
        inherited = np.array(subnet_accuracy(load_supernet(directory), networks, images))
    print("macs       params   inherited  alone", flush=True)
    alone: list[float] = []
    for architecture, accuracy in zip(networks, inherited.tolist(), strict=True):
        alone.append(trained_alone(architecture, images, options.epochs, options.seeds))
        cost = network_cost(architecture)
        print(f"{cost.macs:<10,d} {cost.params:<8,d} {accuracy:<10.4f} {alone[-1]:.4f}", flush=True)
    if options.json is not None:
        rows = [
            {"choices": dict(network.choices), "inherited": a, "alone": b}
            for network, a, b in zip(networks, inherited.tolist(), alone, strict=True)
        ]
        options.json.write_text(json.dumps({"distortion": DISTORTION, "networks": rows}, indent=1) + "\n")
    tau = kendalltau(inherited, alone)
    low, high = interval(inherited, np.array(alone))
    macs = kendalltau([network_cost(a).macs for a in networks], alone).statistic
    print(
        f"tau {tau.statistic:.2f}, 95 % interval {low:.2f} to {high:.2f}, p {tau.pvalue:.3g}; of MACs alone {macs:.2f}"
    )


if __name__ == "__main__":
    main()

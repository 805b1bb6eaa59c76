"""How well inherited weights rank sub-networks: Kendall tau against the same networks trained alone, on digits.

Usage: python benchmarks/supernet_ranking.py [--networks 14] [--epochs 5] [--supernet DIR]

Trains a super-network of `vit_resnas_digits` (or loads one), draws sub-networks of all sizes, trains each alone for
a few epochs with two seeds, and prints both accuracies, tau, and its 95 % interval over resampled networks. Accuracies
are on the validation and test images together, which no training saw. Takes a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from evaluators.supernet import load_supernet, subnet_accuracy, supernet_recipe_for, train_supernet
from evaluators.supernet.evaluation import CachedSplit, cache_split
from evaluators.training import load_trained, recipe_for, train
from evaluators.training.data import load_data
from hardware import network_cost
from searchspaces import Architecture, get_space

SPACE = "vit_resnas_digits"
SIZES = {"image_size": 32, "in_channels": 1, "num_classes": 10}


def sub_networks(count: int) -> list[Architecture]:
    """Return networks spread evenly over the sizes of many drawn ones."""
    space, rng = get_space(SPACE), np.random.default_rng(0)
    drawn = {space.sample(rng, **SIZES) for _ in range(400)} | {space.smallest(**SIZES), space.largest(**SIZES)}
    ordered = sorted(drawn, key=lambda architecture: (network_cost(architecture).macs, architecture.key))
    return [ordered[index] for index in np.linspace(0, len(ordered) - 1, count).round().astype(int)]


def unseen_images() -> CachedSplit:
    """Return the validation and test images of digits."""
    import torch

    splits = load_data("digits", None, recipe_for("digits"))
    parts = [cache_split(split) for split in (splits.validation, splits.test)]
    return CachedSplit(torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts]))


def trained_alone(architecture: Architecture, images: CachedSplit, epochs: int, seeds: int) -> float:
    """Return the mean accuracy of the network trained from scratch."""
    import torch

    found = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as directory:
            recipe = recipe_for("digits", {"epochs": epochs, "warmup_epochs": 1, "seed": seed, "threads": 1})
            train(architecture, "digits", directory, recipe)
            network, _ = load_trained(directory)
            with torch.inference_mode():
                right = network(images.images).argmax(1) == images.labels
            found.append(right.double().mean().item())
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
    parser.add_argument("--networks", type=int, default=14)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--supernet-epochs", type=int, default=12)
    parser.add_argument("--supernet", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = options.supernet or Path(scratch)
        if options.supernet is None:
            recipe = {"epochs": options.supernet_epochs, "choice_warmup_epochs": 3, "threads": 1}
            train_supernet(SPACE, "digits", directory, supernet_recipe_for("digits", recipe), progress=print)
        networks, images = sub_networks(options.networks), unseen_images()
        inherited = np.array(subnet_accuracy(load_supernet(directory), networks, images))
    print("macs       params   inherited  alone", flush=True)
    alone = []
    for architecture, accuracy in zip(networks, inherited, strict=True):
        alone.append(trained_alone(architecture, images, options.epochs, options.seeds))
        cost = network_cost(architecture)
        print(f"{cost.macs:<10,d} {cost.params:<8,d} {accuracy:<10.4f} {alone[-1]:.4f}", flush=True)
    tau = kendalltau(inherited, alone)
    low, high = interval(inherited, np.array(alone))
    macs = kendalltau([network_cost(a).macs for a in networks], alone).statistic
    print(
        f"tau {tau.statistic:.2f}, 95 % interval {low:.2f} to {high:.2f}, p {tau.pvalue:.3g}; of MACs alone {macs:.2f}"
    )


if __name__ == "__main__":
    main()

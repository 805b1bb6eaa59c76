"""A super-network of ViT-ResNAS on digits learns, so do all its sub-networks, and it ranks them better than chance."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from evaluators.supernet import load_supernet, subnet_accuracy, supernet_recipe_for, train_supernet
from evaluators.supernet.evaluation import CachedSplit, cache_split
from evaluators.training import load_data, recipe_for
from evaluators.training.digits import random_affine, warp
from searchspaces import get_space

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.xdist_group("supernet_digits")]
SPACE = "vit_resnas_digits"
# Written by benchmarks/supernet_ranking.py, which trained each network alone.
RANKING = json.loads((Path(__file__).parents[2] / "data" / "digits_ranking.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The directory of a super-network trained on digits that are turned, moved and stretched."""
    path = tmp_path_factory.mktemp("supernet")
    recipe = {"epochs": 20, "choice_warmup_epochs": 2, "eval_every": 20, "threads": 1, **RANKING["distortion"]}
    recipe |= {"rule": "sandwich", "architectures": 1, "distill": False}
    train_supernet(SPACE, "digits", path, supernet_recipe_for("digits", recipe))
    return path


def test_the_loss_falls_and_every_size_learns(trained):
    lines = [json.loads(line) for line in (trained / "history.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert min(lines[-1]["accuracy_smallest"], lines[-1]["accuracy_largest"]) > 0.8


def test_inherited_accuracy_ranks_better_than_chance(trained):
    """Kendall's tau of 16 networks without any relation is above 0.3 in one case of twenty."""
    recipe = recipe_for("digits", RANKING["distortion"])
    splits = load_data("digits", None, recipe)
    parts = [cache_split(split) for split in (splits.validation, splits.test)]
    images, labels = torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts])
    rng = np.random.default_rng(0)
    unseen = torch.cat([warp(images, random_affine(len(images), rng, recipe)) for _ in range(10)])
    sizes = {"image_size": 32, "in_channels": 1, "num_classes": 10}
    networks = [get_space(SPACE).architecture(row["choices"], **sizes) for row in RANKING["networks"]]
    inherited = subnet_accuracy(load_supernet(trained), networks, CachedSplit(unseen, labels.repeat(10)))
    assert kendalltau(inherited, [row["alone"] for row in RANKING["networks"]]).statistic > 0.3

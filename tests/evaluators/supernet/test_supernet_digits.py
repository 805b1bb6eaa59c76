"""A super-network of ViT-ResNAS on digits: it learns, and its ranking of sub-networks says something."""

import json

import numpy as np
import pytest
from scipy.stats import kendalltau

from evaluators.supernet import cache_split, subnet_accuracy, supernet_recipe_for, train_supernet
from evaluators.supernet.sampling import Elastic
from evaluators.training import load_data, recipe_for, train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_the_loss_falls_and_the_ranking_beats_chance(tmp_path):
    recipe = supernet_recipe_for("digits", {"epochs": 12, "choice_warmup_epochs": 3, "eval_every": 12, "threads": 1})
    supernet = train_supernet("vit_resnas_digits", "digits", tmp_path / "supernet", recipe)
    lines = [json.loads(line) for line in (tmp_path / "supernet" / "history.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    assert min(lines[-1]["accuracy_smallest"], lines[-1]["accuracy_largest"]) > 0.8
    elastic = Elastic.of(supernet.architecture, lambda architecture: supernet.fits(architecture) is None)
    networks = [elastic.smallest(0, 0), *elastic.draw(6, np.random.default_rng(0), 0, 0), elastic.largest]
    inherited = subnet_accuracy(supernet, networks, cache_split(load_data("digits").train))
    short = recipe_for("digits", {"epochs": 4, "warmup_epochs": 1, "threads": 1})
    alone = [
        train(network, "digits", tmp_path / f"alone{place}", short).test_accuracy
        for place, network in enumerate(networks)
    ]
    assert kendalltau(inherited, alone).statistic > 0, (inherited, alone)

"""A super-network of ViT-ResNAS on digits: it learns, and its ranking of sub-networks says something."""

import json

import numpy as np
import pytest
from scipy.stats import kendalltau

from evaluators.supernet import cache_split, subnet_accuracy, supernet_recipe_for, train_supernet
from evaluators.training import load_data, recipe_for, train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_loss_falls_and_the_ranking_beats_chance(tmp_path):
    recipe = supernet_recipe_for("digits", {"epochs": 10, "choice_warmup_epochs": 3, "eval_every": 10, "threads": 1})
    supernet = train_supernet("asvit", "digits", tmp_path / "supernet", recipe)
    lines = [json.loads(line) for line in (tmp_path / "supernet" / "history.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    assert min(lines[-1]["accuracy_smallest"], lines[-1]["accuracy_largest"]) > 0.8
    # capacity differs little in As-ViT's expansions: spread the networks by giving each a share of the smallest choices
    elastic_names = [name for name in supernet.architecture.choices if name.endswith(("expansion", "split"))]
    rng = np.random.default_rng(0)
    networks = []
    for share in np.linspace(0, 1, 8):
        changed = {}
        for name in elastic_names:
            if rng.random() < share:
                changed[name] = 2 if name.endswith("expansion") else {"stage1.split": 8, "stage2.split": 4}.get(name, 2)
        networks.append(supernet.architecture.replace(choices=changed))
    inherited = subnet_accuracy(supernet, networks, cache_split(load_data("digits").validation))
    alone = []
    for place, network in enumerate(networks):
        short = recipe_for("digits", {"epochs": 3, "warmup_epochs": 1, "threads": 1})
        alone.append(train(network, "digits", tmp_path / f"alone{place}", short).test_accuracy)
    tau = kendalltau(inherited, alone).statistic
    assert np.isnan(tau) or tau > 0, (inherited, alone)

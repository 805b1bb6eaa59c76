"""A super-network of ViT-ResNAS on digits learns, and so do all its sub-networks."""

import json

import pytest

from evaluators.supernet import supernet_recipe_for, train_supernet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_the_loss_falls_and_every_size_learns(tmp_path):
    recipe = supernet_recipe_for("digits", {"epochs": 8, "choice_warmup_epochs": 2, "eval_every": 8, "threads": 1})
    train_supernet("vit_resnas_digits", "digits", tmp_path, recipe)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    assert min(lines[-1]["accuracy_smallest"], lines[-1]["accuracy_largest"]) > 0.8

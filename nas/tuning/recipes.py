"""What is tuned of a recipe: learning rate, weight decay, drop path, and the strength of augmentation."""

from __future__ import annotations

import re
from typing import Any

from evaluators.training.recipe import Recipe

STRENGTH = 2.0  # largest factor on the augmentation of the recipe
_SCALED = {  # keys that grow with the strength, and the most they may be
    "shift": 0.5,
    "rotation": 180.0,
    "zoom": 0.9,
    "random_erasing": 1.0,
    "mixup": 10.0,
    "cutmix": 10.0,
}
_MOST_MAGNITUDE = 10.0  # of RandAugment


def search_space(base: Recipe) -> dict[str, Any]:
    """Return the space as Optuna has it: around the recipe of the data set."""
    from optuna.distributions import FloatDistribution

    return {
        "learning_rate": FloatDistribution(base.learning_rate / 10, base.learning_rate * 10, log=True),
        "weight_decay": FloatDistribution(1e-4, 0.5, log=True),
        "drop_path": FloatDistribution(0.0, 0.3),
        "augmentation": FloatDistribution(0.0, STRENGTH),
    }


def recipe_keys(base: Recipe, chosen: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe keys of one point of the space; `augmentation` is a factor on all that augments in `base`.

    >>> from evaluators.training.recipe import recipe_for
    >>> recipe_keys(recipe_for("digits"), {"learning_rate": 0.002, "augmentation": 0.5})["rotation"]
    6.0
    """
    keys = {name: value for name, value in chosen.items() if name != "augmentation"}
    factor = chosen.get("augmentation", 1.0)
    for name, most in _SCALED.items():
        if value := getattr(base, name):
            keys[name] = min(most, value * factor)
    if match := re.match(r"rand-m(\d+(?:\.\d+)?)", base.auto_augment):
        magnitude = min(_MOST_MAGNITUDE, float(match[1]) * factor)
        keys["auto_augment"] = f"rand-m{magnitude:.2f}{base.auto_augment[match.end() :]}"
    return keys

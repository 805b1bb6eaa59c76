"""What is tuned, and the recipe that follows from a choice."""

import pytest

from evaluators.training import recipe_for
from nas.tuning.recipes import recipe_keys, search_space


@pytest.mark.parametrize("data", ["digits", "pictures"])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0])
def test_every_choice_is_a_recipe(data, strength):
    base = recipe_for(data)
    for name, distribution in search_space(base).items():
        for value in (distribution.low, distribution.high):
            recipe_for(data, recipe_keys(base, {name: value, "augmentation": strength}))


def test_strength_one_is_the_recipe_itself():
    for data in ("digits", "pictures"):
        base = recipe_for(data)
        found = recipe_for(data, recipe_keys(base, {"augmentation": 1.0}))
        assert found.model_copy(update={"auto_augment": base.auto_augment}) == base


def test_no_strength_is_no_augmentation():
    keys = recipe_keys(recipe_for("digits"), {"augmentation": 0.0})
    assert keys == {"shift": 0.0, "rotation": 0.0, "zoom": 0.0}
    assert recipe_keys(recipe_for("pictures"), {"augmentation": 2.0})["auto_augment"] == "rand-m10.00-mstd0.5-inc1"
    assert recipe_keys(recipe_for("pictures"), {"augmentation": 0.5})["random_erasing"] == 0.125

"""Recipes: defaults, bounds, and the lightness of the import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evaluators.training import Recipe, recipe_for
from searchspaces import NasError


def test_every_key_has_a_description_and_a_legal_default():
    for name, field in Recipe.model_fields.items():
        assert field.description, name
    Recipe.model_validate(Recipe().model_dump())
    Recipe.model_validate(recipe_for("digits").model_dump())


def test_anything_but_digits_gets_the_deit_recipe():
    assert recipe_for("torch/cifar10") == recipe_for("folder") == Recipe()
    assert recipe_for("digits") != Recipe()


def test_an_override_is_laid_over_the_defaults_of_the_data():
    assert recipe_for("digits", {"epochs": 3}).model_dump() == {**recipe_for("digits").model_dump(), "epochs": 3}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"epochs": 0}, "recipe.epochs=0"),
        ({"learning_rate": -1.0}, "recipe.learning_rate=-1.0"),
        ({"learning_rate": float("nan")}, "recipe.learning_rate=nan"),
        ({"precision": "fp8"}, "recipe.precision='fp8'"),
        ({"epochs": "3"}, "recipe.epochs='3'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(overrides, words):
    with pytest.raises(NasError, match="recipe") as caught:
        recipe_for("digits", overrides)
    assert words in str(caught.value)


def test_importing_recipes_brings_no_torch():
    code = (
        "import evaluators, evaluators.training, sys; sys.exit(bool({'torch', 'timm', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_documentation_lists_every_key_with_its_defaults():
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    digits = recipe_for("digits")
    for name, field in Recipe.model_fields.items():
        usual, own = json.dumps(field.default), json.dumps(getattr(digits, name))
        assert f"| `{name}` | {usual} | {'' if own == usual else own} | {field.description} |" in text

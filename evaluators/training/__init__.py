"""Training an architecture: data, recipes, and a trainer that survives being killed.

Only the light parts are imported here; `train`, `load_data` and `load_trained` bring torch with them when first used.
"""

from typing import TYPE_CHECKING, Any

from evaluators.training.recipe import Recipe, recipe_for
from evaluators.training.result import TrainingResult

if TYPE_CHECKING:
    from evaluators.training.data import load_data
    from evaluators.training.trained import load_trained
    from evaluators.training.trainer import train

__all__ = ["Recipe", "TrainingResult", "load_data", "load_trained", "recipe_for", "train"]

_LAZY = {"load_data": "data", "load_trained": "trained", "train": "trainer"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)

"""Weight-sharing super-networks: one set of weights, of which every sub-network uses leading slices.

Only the light parts are imported here; what computes brings torch with it when first used.
"""

from typing import TYPE_CHECKING, Any

from evaluators.supernet.recipe import SupernetRecipe, supernet_recipe_for

if TYPE_CHECKING:
    from evaluators.supernet.evaluation import CachedSplit, cache_split, subnet_accuracy
    from evaluators.supernet.stored import load_supernet
    from evaluators.supernet.supernet import Supernet
    from evaluators.supernet.trainer import train_supernet

__all__ = [
    "CachedSplit",
    "Supernet",
    "SupernetRecipe",
    "cache_split",
    "load_supernet",
    "subnet_accuracy",
    "supernet_recipe_for",
    "train_supernet",
]

_LAZY = {
    "CachedSplit": "evaluation",
    "Supernet": "supernet",
    "cache_split": "evaluation",
    "load_supernet": "stored",
    "subnet_accuracy": "evaluation",
    "train_supernet": "trainer",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)

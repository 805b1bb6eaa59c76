"""The recipe of a super-network: every knob with its default, and which defaults suit which data. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from evaluators.settings import parse_settings
from evaluators.training.recipe import DIGITS, DIGITS_LOOKS, CommonRecipe, Recipe


class SupernetRecipe(CommonRecipe):
    """How a super-network is trained. The defaults are those of ViT-ResNAS-Tiny (arXiv 2109.00642) on ImageNet.

    `batch_size` is per process; the authors run 8 with 128 images each. Mixed precision is bf16 here, fp16 there.
    """

    rule: Literal["multi", "single", "sandwich"] = Field(
        "multi",
        description="multi: several networks share a batch; single: one a step; sandwich: largest, smallest and drawn",
    )
    architectures: int = Field(2, ge=1, le=4096, description="networks drawn per step and process; single takes one")
    distill: bool = Field(True, description="sandwich: the largest network's outputs are the others' targets")
    choice_warmup_epochs: int = Field(30, ge=0, le=100_000, description="epochs over which smaller choices open")
    rewire: bool = Field(
        True, description="sort heads and hidden units by magnitude at the start of the epochs up to the warm-up's end"
    )
    rewire_moments: bool = Field(True, description="move the optimizer's moments along; the authors do not")
    token_mixing: bool = Field(
        True, description="cut-and-paste and mixup with targets per patch token, where networks give patch tokens"
    )
    epochs: int = Field(120, ge=1, le=100_000, description="passes over the training set")
    batch_size: int = Field(128, ge=2, le=65_536, description="images per step and process")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="peak rate of AdamW, for 1024 images per step in all")
    scale_learning_rate: bool = Field(True, description="multiply learning_rate by the images per step / 1024")
    warmup_epochs: int = Field(5, ge=0, le=1000, description="epochs of linear warm-up from 0, part of `epochs`")
    drop_path: float = Field(0.2, ge=0, lt=1, description="stochastic depth of the last block; the first has 0")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="final decay per step of the weight average, 0 turns it off")
    clip_grad: float = Field(0.0, ge=0, le=1000, description="largest norm of the gradient, 0 turns clipping off")
    seed: int = Field(0, ge=0, lt=2**31, description="of weights, networks, order, augmentation and stochastic depth")
    eval_crop: float = Field(0.875, gt=0, le=1, description="share of the side that evaluation keeps")
    eval_every: int = Field(1, ge=1, le=100_000, description="epochs between two looks at the accuracies")
    eval_networks: int = Field(4, ge=0, le=4096, description="drawn networks, always the same, that are looked at")
    eval_images: int = Field(2048, ge=1, description="most validation images for a look")
    checkpoint_seconds: float = Field(300.0, ge=0, description="most time between checkpoints; 0: after each step")

    def for_training(self, processes: int = 1) -> Recipe:
        """Return what data and optimizer read: the shared keys, without timm's own mixup.

        Args:
            processes: that share a step; the learning rate is scaled by the images of all of them.
        """
        shared = {key: getattr(self, key) for key in Recipe.model_fields if key in type(self).model_fields}
        if self.scale_learning_rate:
            shared["learning_rate"] = self.learning_rate * processes
        return Recipe(**{**shared, "mixup": 0.0, "cutmix": 0.0})


_DIGITS_DEFAULTS: dict[str, Any] = {
    **DIGITS_LOOKS,
    "choice_warmup_epochs": 5,
    "token_mixing": False,
    "epochs": 20,
    "batch_size": 64,
    "learning_rate": 2e-3,
    "scale_learning_rate": False,
    "warmup_epochs": 2,
    "drop_path": 0.0,
    "clip_grad": 1.0,
    "eval_every": 5,
    "checkpoint_seconds": 20.0,
}


def supernet_recipe_for(data_name: str, overrides: Mapping[str, Any] | None = None) -> SupernetRecipe:
    """Return the default recipe of a data set, with `overrides` on top.

    >>> supernet_recipe_for("digits", {"epochs": 5}).epochs
    5

    Args:
        data_name: ``digits`` has a recipe of its own; every other name gets that of the paper.
        overrides: recipe keys to values.

    Raises:
        NasError: an unknown key (close names are listed) or a value outside its bounds.
    """
    defaults = _DIGITS_DEFAULTS if data_name == DIGITS else {}
    return parse_settings(SupernetRecipe, {**defaults, **(overrides or {})}, "recipe")

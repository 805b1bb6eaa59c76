"""The recipe of a training: every knob with its default, and which defaults suit which data. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from evaluators.settings import Settings, parse_settings

DIGITS = "digits"


class CommonRecipe(Settings):
    """What every training decides in the same way: optimizer, device, and how images are looked at."""

    weight_decay: float = Field(0.05, ge=0, le=1, description="of AdamW; none on biases and normalisations")
    beta2: float = Field(0.999, gt=0, lt=1, description="decay of AdamW's second moment")
    min_lr: float = Field(1e-5, ge=0, le=1, description="rate at the end of the cosine")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability spread over all classes")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the device computes it natively, otherwise fp32"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one, otherwise cpu")
    split_seed: int = Field(0, ge=0, lt=2**31, description="of the cut into training, validation and test images")
    image_size: int | None = Field(None, ge=8, le=4096, description="side of the input, pixels; null: as the data set")
    auto_augment: str = Field("rand-m9-mstd0.5-inc1", description='timm\'s augmentation policy, "" for none')
    random_erasing: float = Field(0.25, ge=0, le=1, description="probability of erasing a rectangle")
    hflip: float = Field(0.5, ge=0, le=1, description="probability of mirroring left to right")
    crop_scale: float = Field(0.08, gt=0, le=1, description="smallest share of the image a training crop keeps")
    shift: float = Field(0.0, ge=0, le=0.5, description="digits: largest random shift, share of the side")
    rotation: float = Field(0.0, ge=0, le=180, description="digits: largest random rotation, degrees")
    zoom: float = Field(0.0, ge=0, lt=1, description="digits: largest random change of size and aspect, as a share")
    workers: int = Field(0, ge=0, le=256, description="processes that load images; 0: the training process does")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads of torch; null: as torch chooses")


class Recipe(CommonRecipe):
    """How a network is trained. The defaults are the 300-epoch DeiT recipe (arXiv 2012.12877) with 5 warm-up epochs.

    The authors of As-ViT released no training code, so this recipe stands in for theirs (sheet section 6).
    """

    epochs: int = Field(300, ge=1, le=100_000, description="passes over the training set")
    batch_size: int = Field(128, ge=2, le=65_536, description="images per step; odd ones are rounded down for mixup")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="peak rate of AdamW, for a batch of 1024 images")
    scale_learning_rate: bool = Field(True, description="multiply learning_rate by batch_size / 1024")
    warmup_epochs: int = Field(5, ge=0, le=1000, description="epochs of linear warm-up from 0, part of `epochs`")
    mixup: float = Field(0.8, ge=0, le=10, description="alpha of mixup, 0 turns it off")
    cutmix: float = Field(1.0, ge=0, le=10, description="alpha of cutmix, 0 turns it off")
    mix_prob: float = Field(1.0, ge=0, le=1, description="share of the batches that are mixed")
    drop_path: float = Field(0.1, ge=0, lt=1, description="stochastic depth of the last block; the first has 0")
    ema_decay: float = Field(
        0.9998, ge=0, lt=1, description="final decay per step of the weight average, 0 turns it off"
    )
    clip_grad: float = Field(1.0, ge=0, le=1000, description="largest norm of the gradient, 0 turns clipping off")
    seed: int = Field(0, ge=0, lt=2**31, description="of weights, order, augmentation and stochastic depth")
    eval_crop: float = Field(0.9, gt=0, le=1, description="share of the side that evaluation keeps")
    checkpoint_seconds: float = Field(10.0, ge=0, description="least time between checkpoints; 0: after each epoch")


# The 8 x 8 pixels of digits stand no strong augmentation: small shifts, turns and stretches only.
DIGITS_LOOKS: dict[str, Any] = {
    "auto_augment": "",
    "random_erasing": 0.0,
    "hflip": 0.0,
    "crop_scale": 1.0,
    "eval_crop": 1.0,
    "shift": 0.1,
    "rotation": 12.0,
    "zoom": 0.12,
}
_DIGITS_DEFAULTS: dict[str, Any] = {
    **DIGITS_LOOKS,
    "epochs": 20,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "scale_learning_rate": False,
    "warmup_epochs": 2,
    "min_lr": 1e-5,
    "mixup": 0.0,
    "cutmix": 0.0,
    "drop_path": 0.05,
    "ema_decay": 0.99,
}


def recipe_for(data_name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Return the default recipe of a data set, with `overrides` on top.

    >>> recipe_for("digits", {"epochs": 5}).epochs
    5

    Args:
        data_name: ``digits`` has a recipe of its own; every other name gets the DeiT recipe.
        overrides: recipe keys to values.

    Raises:
        NasError: an unknown key (close names are listed) or a value outside its bounds.
    """
    defaults = _DIGITS_DEFAULTS if data_name == DIGITS else {}
    return parse_settings(Recipe, {**defaults, **(overrides or {})}, "recipe")

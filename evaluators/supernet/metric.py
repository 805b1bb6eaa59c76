"""The metric `supernet_accuracy`: what a network is worth with the weights it inherits."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from evaluators.metric import Metric, MetricFailure, register_metric
from evaluators.settings import Settings
from searchspaces import Architecture

if TYPE_CHECKING:
    from evaluators.supernet.evaluation import CachedSplit
    from evaluators.supernet.supernet import Supernet


class SupernetAccuracySettings(Settings):
    """Which super-network, and on which images."""

    checkpoint: str | None = Field(
        default=None, description="directory of a trained super-network; none: the one `nas search` trains"
    )
    data: str = Field(default="digits", description="data set, as for training; its validation images count")
    data_dir: str | None = Field(default=None, description="folder of the data")
    images: int | None = Field(default=None, ge=1, description="most images, evenly taken; none: all")
    batch_size: int = Field(default=256, ge=1, description="images at a time")
    batch_norm: Literal["inherit", "recalibrate"] = Field(
        default="inherit", description="statistics of batch normalisation: those of the super-network, or taken anew"
    )
    calibration_images: int = Field(default=1024, ge=2, description="training images for recalibrate")
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="of the evaluation")


@register_metric
class SupernetAccuracy(Metric):
    """Share of validation images that a sub-network with inherited weights classifies correctly, in [0, 1]."""

    name = "supernet_accuracy"
    direction = "maximize"
    Settings = SupernetAccuracySettings

    def measure(self, architecture: Architecture, repeat: int) -> float:
        """Return the accuracy; each process loads weights and images once.

        Raises:
            MetricFailure: if there is no super-network, or the architecture is no part of it.
        """
        from evaluators.supernet.evaluation import subnet_accuracy

        settings = self.settings
        if settings.checkpoint is None:
            raise MetricFailure("no super-network is given; set supernet_accuracy.checkpoint to its directory")
        supernet, validation, calibration = _opened(settings)
        found = subnet_accuracy(
            supernet,
            [architecture],
            validation,
            batch_size=settings.batch_size,
            batch_norm=settings.batch_norm,
            calibration=calibration,
            precision=settings.precision,
        )
        return found[0]


@lru_cache(maxsize=2)
def _opened(settings: SupernetAccuracySettings) -> tuple[Supernet, CachedSplit, CachedSplit | None]:
    """Return the super-network and the images, which stay in memory for the life of the process."""
    from evaluators.supernet.evaluation import cache_split
    from evaluators.supernet.recipe import supernet_recipe_for
    from evaluators.supernet.stored import load_supernet
    from evaluators.training.data import load_data

    assert settings.checkpoint is not None
    supernet = load_supernet(settings.checkpoint)
    recipe = supernet_recipe_for(settings.data, {"image_size": supernet.architecture.image_size}).for_training()
    splits = load_data(settings.data, settings.data_dir, recipe)
    calibration = None
    if settings.batch_norm == "recalibrate":
        calibration = cache_split(splits.train, settings.calibration_images)
    return supernet, cache_split(splits.validation, settings.images), calibration

"""The metric `accuracy`: what a network is worth after a training of its own."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from typing import Any

from pydantic import Field

from evaluators.metric import Metric, register_metric
from evaluators.settings import Settings
from evaluators.training.recipe import Recipe, recipe_for
from searchspaces import Architecture

Progress = Callable[[dict[str, Any]], None]


class AccuracySettings(Settings):
    """Which training."""

    data: str = Field(default="digits", description="data set, as for `nas train`; its validation images count")
    data_dir: str | None = Field(default=None, description="folder of the data")
    epochs: int | None = Field(default=None, ge=1, description="passes over the training images; none: of the recipe")
    seed: int = Field(default=0, ge=0, description="of the training; repeats add to it")
    repeats: int = Field(default=1, ge=1, description="trainings of different seeds; the value is their mean")
    recipe: dict[str, Any] = Field(default={}, description="any other keys of the recipe")
    storage: str | None = Field(default=None, description="folder or URL of checkpoints; none: none are kept")
    stop_early: str | None = Field(default=None, description="asha or hyperband; read by the Ray executor alone")


@register_metric
class Accuracy(Metric):
    """Share of validation images that the network classifies correctly after its own training, in [0, 1].

    The test images take no part: they are for the network that is chosen in the end.
    """

    name = "accuracy"
    direction = "maximize"
    training = True
    Settings = AccuracySettings

    def recipe(self, repeat: int) -> Recipe:
        """Return the recipe of one repeat; one thread, so that the value does not depend on the machine's load.

        Raises:
            NasError: unknown keys or values out of bounds.
        """
        settings = self.settings
        own = {"seed": settings.seed + repeat, "threads": 1, **settings.recipe}
        if settings.epochs is not None:
            own["epochs"] = settings.epochs
            own.setdefault("warmup_epochs", min(recipe_for(settings.data).warmup_epochs, settings.epochs // 2))
        return recipe_for(settings.data, own)

    def folder(self, architecture: Architecture, repeat: int) -> str:
        """Return the name of the folder of a training: the same for the same training only."""
        told = f"{architecture.key} {self.settings.data} {self.recipe(repeat).model_dump_json()}"
        return f"{architecture.space}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"

    def train(self, architecture: Architecture, repeat: int, storage: str, progress: Progress | None = None) -> float:
        """Train below a storage, going on from the checkpoint there, and return the accuracy.

        Args:
            progress: is called with the history of each epoch, those of an earlier session included.

        Raises:
            NasError: data, a recipe or a storage that cannot be used, or a loss that is not finite.
        """
        from evaluators.training.run_directory import read_history
        from evaluators.training.storage import folder_in
        from evaluators.training.trainer import train

        settings = self.settings
        with folder_in(storage, self.folder(architecture, repeat)) as (out, keep):
            told = 0

            def tell(record: dict[str, Any]) -> None:
                nonlocal told
                if record["epoch"] > told:
                    told = record["epoch"]
                    keep()
                    if progress is not None:
                        progress(record)

            for record in read_history(out):
                tell(record)
            found = train(
                architecture,
                settings.data,
                out,
                self.recipe(repeat),
                data_dir=settings.data_dir,
                resume=True,
                progress=tell,
            )
            return found.validation_accuracy

    def measure(self, architecture: Architecture, repeat: int) -> float:
        """Return the validation accuracy of one training."""
        if self.settings.storage is not None:
            return self.train(architecture, repeat, self.settings.storage)
        with tempfile.TemporaryDirectory(prefix="nas-training-") as folder:
            return self.train(architecture, repeat, folder)

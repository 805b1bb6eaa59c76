"""The metric `accuracy@edge-moe-zcu102`: the accuracy of a trained network in the arithmetic of the accelerator."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from evaluators.metric import Metric, MetricFailure, register_metric
from evaluators.settings import Settings
from evaluators.training.recipe import Recipe, recipe_for
from evaluators.training.run_directory import ARCHITECTURE
from hardware import UnsupportedError
from hardware.edge_moe.targets import EdgeMoeZcu102
from searchspaces import Architecture, NasError

if TYPE_CHECKING:
    from torch import nn

    from evaluators.training.splits import DataSplits


class AcceleratorAccuracySettings(Settings):
    """Where the weights come from, and the images they are tried on."""

    trained: str | None = Field(
        None, description="directory of `nas train`, or one that holds several; none: the network is trained first"
    )
    data: str = Field("digits", description="data set, as for nas train; its validation images are used")
    data_dir: str | None = Field(None, description="folder of the data, as for nas train")
    epochs: int | None = Field(None, ge=1, le=100_000, description="of the training; none: as the recipe of the data")
    recipe: dict[str, Any] = Field({}, description="other keys of the recipe of the training")
    batch_size: int = Field(64, ge=1, le=65_536, description="images at a time in the emulation")


@register_metric
class AcceleratorAccuracy(Metric):
    """Share of validation images classified rightly in the FPGA's fixed point, table GELU and softmax, in [0, 1]."""

    name = "accuracy@edge-moe-zcu102"
    direction = "maximize"
    Settings = AcceleratorAccuracySettings

    def measure(self, architecture: Architecture, repeat: int) -> float:
        """Return the accuracy.

        Raises:
            MetricFailure: if the accelerator cannot run the network, or there are no trained weights of it.
        """
        import torch

        from evaluators.training.loop import evaluate
        from hardware.edge_moe.emulation import FixedM3ViT

        settings = self.settings
        try:
            model, trained, data = self._trained(architecture)
            EdgeMoeZcu102().estimate(trained)
        except UnsupportedError as error:
            raise MetricFailure(str(error)) from error
        emulated = FixedM3ViT(model, data.preprocessing["mean"], data.preprocessing["std"])
        return evaluate(emulated, data.validation, settings.batch_size, torch.device("cpu"), "fp32")

    def _trained(self, architecture: Architecture) -> tuple[nn.Module, Architecture, DataSplits]:
        """Return the trained network, its architecture and its data."""
        from evaluators.training import load_data, load_trained, train

        settings = self.settings
        if settings.trained is not None:
            model, trained = load_trained(find_trained(Path(settings.trained), architecture))
            recipe = _recipe_of(trained, settings.data)
            return model, trained, load_data(settings.data, settings.data_dir, recipe)
        epochs = {} if settings.epochs is None else {"epochs": settings.epochs}
        recipe = recipe_for(settings.data, {**settings.recipe, **epochs})
        data = load_data(settings.data, settings.data_dir, recipe)
        adapted = architecture.replace(
            image_size=data.image_size, in_channels=data.in_channels, num_classes=data.num_classes
        )
        EdgeMoeZcu102().estimate(adapted)  # a reason comes before hours of training
        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            train(architecture, settings.data, folder, recipe, data_dir=settings.data_dir)
            return *load_trained(folder), data


def find_trained(directory: Path, architecture: Architecture) -> Path:
    """Return the run in a directory, itself or just below, that trained this network, whatever the data's sizes.

    Raises:
        MetricFailure: if there is none.
    """
    wanted = _network(architecture)
    for path in (directory / ARCHITECTURE, *sorted(directory.glob(f"*/{ARCHITECTURE}"))):
        if path.exists():
            with suppress(UnsupportedError):  # other networks may lie beside this one
                if _network(Architecture.read(path)) == wanted:
                    return path.parent
    raise MetricFailure(f"trained={str(directory)!r} holds no weights of this network; run nas train on it")


def _network(architecture: Architecture) -> tuple[Any, ...]:
    """Return what weights depend on, apart from the sizes of the data and knobs of the accelerator."""
    sizing = EdgeMoeZcu102().require_supported(architecture)
    return sizing.width / sizing.height, *sizing[3:]


def _recipe_of(trained: Architecture, data: str) -> Recipe:
    """Return the recipe the images of a trained network were cut and sized by."""
    told = trained.provenance.get("training", {})
    if told.get("data", data) != data:
        raise NasError(f"data={data!r} is not what the network was trained on; give data={told['data']!r}")
    kept = {key: value for key, value in told.get("recipe", {}).items() if key in Recipe.model_fields}
    return recipe_for(data, {**kept, "image_size": trained.image_size})

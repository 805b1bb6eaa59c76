"""A trained network on disk: an architecture and its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evaluators.training.checkpoint import load_tensors, save_tensors
from evaluators.training.randomness import global_state_kept
from evaluators.training.run_directory import ARCHITECTURE, WEIGHTS
from searchspaces import Architecture, NasError, get_space

if TYPE_CHECKING:
    from torch import nn


def save_weights(out_dir: Path, model: nn.Module) -> None:
    """Write the weights of a network.

    Raises:
        NasError: if they cannot be written.
    """
    tensors = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    save_tensors(out_dir / WEIGHTS, tensors, {"format": "pt"})


def load_trained(directory: str | Path) -> tuple[nn.Module, Architecture]:
    """Return the trained network of a run, in evaluation mode on the CPU, and its architecture.

    Args:
        directory: of a finished training run; has ``architecture.json`` and ``weights.safetensors``.

    Raises:
        NasError: if a file is missing, cut short, or the weights are those of another architecture.
    """
    directory = Path(directory)
    architecture = Architecture.read(directory / ARCHITECTURE)
    tensors = load_tensors(directory / WEIGHTS)
    with global_state_kept():
        model = get_space(architecture.space).build(architecture)
    expected = model.state_dict()
    for name in dict.fromkeys((*expected, *tensors)):
        if name not in tensors:
            raise NasError(f"{directory / WEIGHTS}: has no {name}, which the architecture needs")
        if name not in expected:
            raise NasError(f"{directory / WEIGHTS}: has {name}, which the architecture does not have")
        if tensors[name].shape != expected[name].shape:
            there, here = tuple(tensors[name].shape), tuple(expected[name].shape)
            raise NasError(f"{directory / WEIGHTS}: {name} has the shape {there}; the architecture needs {here}")
    model.load_state_dict(tensors)
    return model.eval(), architecture

"""A trained super-network on disk: its description as JSON, its weights as safetensors, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from evaluators.supernet.supernet import Supernet
from evaluators.training.checkpoint import load_tensors, save_tensors
from evaluators.training.randomness import global_state_kept
from evaluators.training.run_directory import RUN
from searchspaces import Architecture, NasError, write_text

DESCRIPTION, WEIGHTS = "supernet.json", "supernet.safetensors"
FORMAT = "nas.supernet/1"


def save_supernet(out_dir: Path, supernet: Supernet, record: Mapping[str, Any]) -> None:
    """Write the weights, then the description, whose presence says that the training is finished.

    Args:
        record: plain values about the training.
    """
    save_tensors(out_dir / WEIGHTS, {name: tensor.cpu() for name, tensor in supernet.state_dict().items()})
    plain = {
        "format": FORMAT,
        "architecture": supernet.architecture.to_dict(provenance=False),
        "patch_head": supernet.patch_head is not None,
        **record,
    }
    write_text(out_dir / DESCRIPTION, json.dumps(plain, indent=2) + "\n")


def is_finished(directory: str | Path) -> bool:
    """Whether a directory holds a super-network that was trained to its end."""
    return (Path(directory) / DESCRIPTION).exists()


def read_description(directory: str | Path) -> dict[str, Any]:
    """Return what is written about a super-network.

    Raises:
        NasError: if there is none, its training is unfinished, or the file is damaged.
    """
    path = Path(directory) / DESCRIPTION
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (path.parent / RUN).exists():
            raise NasError(f"{directory}: the super-network is not trained to its end; resume its training") from None
        raise NasError(f"{directory}: holds no super-network; there is no {DESCRIPTION}") from None
    except (OSError, ValueError) as error:
        raise NasError(f"{path}: cannot be read: {error}") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise NasError(f"{path}: is not of the format {FORMAT!r}")
    return plain


def load_supernet(directory: str | Path, device: torch.device | str = "cpu") -> Supernet:
    """Return a trained super-network in evaluation mode.

    Args:
        directory: `out_dir` of a finished `train_supernet`.

    Raises:
        NasError: if it is not finished, or a file is missing, cut short or does not fit.
    """
    directory = Path(directory)
    plain = read_description(directory)
    try:
        architecture = Architecture.from_dict(plain["architecture"])
        patch_head = bool(plain["patch_head"])
    except (KeyError, NasError) as error:
        raise NasError(f"{directory / DESCRIPTION}: {error}") from error
    tensors = load_tensors(directory / WEIGHTS)
    with global_state_kept():
        supernet = Supernet(architecture, patch_head)
    try:
        supernet.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split()[:24])
        raise NasError(f"{directory / WEIGHTS}: does not fit its description: {reason}") from error
    return supernet.to(device).eval()

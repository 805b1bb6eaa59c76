"""The state of an unfinished training on disk: tensors as safetensors, the rest as JSON, never pickle.

``checkpoint/state.json`` names the tensor file it belongs to, and is replaced by a rename after that file is complete:
a reader finds the old state or the new one, never a mixture.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from searchspaces import NasError, write_text

FOLDER, STATE = "checkpoint", "state.json"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file whole or not at all.

    Raises:
        NasError: if it cannot be written (no permission, a full disk); what stood there before stays as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, temporary, metadata)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error)
        raise NasError(f"{path}: cannot be written: {reason}") from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, on the CPU.

    Raises:
        NasError: if the file is missing, cut short or of another kind.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise NasError(f"{path}: cannot be read as safetensors: {error}") from error


def save_checkpoint(out_dir: Path, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    """Replace the checkpoint of a run.

    Args:
        plain: JSON values; has `epoch`, and `step` too where a run is saved inside its epochs.

    Raises:
        NasError: if it cannot be written; the checkpoint before stays.
    """
    folder = out_dir / FOLDER
    inside = f"-step-{plain['step']:06d}" if "step" in plain else ""
    name = f"epoch-{plain['epoch']:06d}{inside}.safetensors"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise NasError(f"{folder}: cannot be made: {error.strerror}") from error
    save_tensors(folder / name, tensors)
    write_text(folder / STATE, json.dumps({**plain, "tensors": name}, indent=1) + "\n")
    for old in folder.iterdir():  # the tensors before these, and what a killed process left half-written
        if old.name not in (name, STATE):
            old.unlink(missing_ok=True)


def load_checkpoint(out_dir: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return tensors and plain values of the checkpoint; None if the run has none yet.

    Raises:
        NasError: if there is one that cannot be read; the message names the file.
    """
    path = out_dir / FOLDER / STATE
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        name = Path(plain["tensors"]).name
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NasError(f"{path}: is no checkpoint: {error}; remove {path.parent} to begin again") from error
    try:
        return load_tensors(path.parent / name), plain
    except NasError as error:
        raise NasError(f"{error}; remove {path.parent} to begin again") from error


def remove_checkpoint(out_dir: Path) -> None:
    """Remove the checkpoint of a finished run; the state goes first, so that it never names a missing file."""
    folder = out_dir / FOLDER
    (folder / STATE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)

"""The directory of one training run: whose it is, its history, and its result."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from searchspaces import NasError, write_text

RUN, HISTORY, METRICS = "run.json", "history.jsonl", "metrics.json"
ARCHITECTURE, WEIGHTS = "architecture.json", "weights.safetensors"
FORMAT = "nas.training/1"
# These change neither what is learnt nor how well; `device` and `precision` are compared as resolved.
_FREE = {"recipe.workers", "recipe.threads", "recipe.checkpoint_seconds", "recipe.device", "recipe.precision"}


def claim(out_dir: Path, configuration: Mapping[str, Any], versions: Mapping[str, str], resume: bool) -> None:
    """Make `out_dir` the directory of this run, or find that it is already.

    Args:
        configuration: nested plain values that set the result.
        versions: of the packages, recorded for people.

    Raises:
        NasError: a run that is there without `resume`, a run of another configuration (the message names the first
            key that differs), files of something else, or a directory that cannot be written.
    """
    path = out_dir / RUN
    if path.exists():
        _require_same(path, configuration)
        if not resume:
            raise NasError(f"{out_dir} holds a run already; continue it with --resume, or give another directory")
        return
    for name in (HISTORY, METRICS, ARCHITECTURE, WEIGHTS):
        if (out_dir / name).exists():
            raise NasError(f"{out_dir} holds a file {name} that no training run left; give another directory")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NasError(f"{out_dir}: cannot be made: {error.strerror}") from error
    plain = {"format": FORMAT, **configuration, "versions": dict(versions)}
    write_text(path, json.dumps(plain, indent=2) + "\n")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that a training's result may depend on."""
    return {name: version(name) for name in ("nas", "numpy", "timm", "torch")}


def _require_same(path: Path, configuration: Mapping[str, Any]) -> None:
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NasError(f"{path}: cannot be read: {error}; give another directory") from error
    if not isinstance(there, dict) or there.get("format") != FORMAT:
        raise NasError(f"{path}: is not of the format {FORMAT!r}; give another directory")
    del there["format"]
    there.pop("versions", None)
    old, new = _flat(there), _flat(json.loads(json.dumps(configuration)))
    for key in dict.fromkeys((*new, *old)):
        if key not in _FREE and old.get(key) != new.get(key):
            was, now = old.get(key, "nothing"), new.get(key, "nothing")
            raise NasError(f"{path.parent} holds another run: {key} is {was!r} there and {now!r} here")


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def append_history(out_dir: Path, record: Mapping[str, Any]) -> None:
    """Append one epoch to the history and flush it.

    Raises:
        NasError: if it cannot be written; `trim_history` removes what was written of the line.
    """
    path = out_dir / HISTORY
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise NasError(f"{path}: cannot be written: {error.strerror}") from error


def read_history(out_dir: Path) -> list[dict[str, Any]]:
    """Return the epochs in the history; a last line that was cut off by a crash is left out."""
    path = out_dir / HISTORY
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]  # what follows the last line end is incomplete


def trim_history(out_dir: Path, epoch: int) -> None:
    """Leave only the first `epoch` epochs in the history: those after the checkpoint are trained again."""
    kept = [record for record in read_history(out_dir) if record["epoch"] <= epoch]
    if (out_dir / HISTORY).exists():
        write_text(out_dir / HISTORY, "".join(json.dumps(record) + "\n" for record in kept))

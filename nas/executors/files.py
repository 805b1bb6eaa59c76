"""Folders that metrics read, carried to machines that do not see them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluators import Metric

LARGEST = 2 * 2**30  # bytes; a larger folder has to lie where every node sees it
FOLDERS = ("checkpoint", "data_dir")  # settings of metrics that name one


@dataclass(frozen=True)
class Packed:
    """A folder as bytes. Ray keeps arrays once per node and shows them to every worker there without a copy.

    Args:
        name: as the setting of the metric says.
        path: the same, absolute.
        files: relative path to content; empty for a folder that is only looked for, not carried.
        digest: of names and contents; it names the copy on other machines.
    """

    name: str
    path: str
    files: dict[str, np.ndarray]
    digest: str


def folders_of(metric: Metric) -> list[str]:
    """Return the folders a metric reads and that are there, as its settings name them."""
    named = (getattr(metric.settings, field, None) for field in FOLDERS)
    return [value for value in named if isinstance(value, str) and Path(value).is_dir()]


def pack(name: str, carried: bool = True) -> Packed:
    """Return a folder as bytes; without any where they are not to be carried, or are more than `LARGEST`.

    Raises:
        OSError: if a file cannot be read.
    """
    path = Path(name).absolute()
    digest = hashlib.sha256()
    files = {}
    if carried and sum(file.stat().st_size for file in _files(path)) <= LARGEST:
        for file in _files(path):
            inside, content = file.relative_to(path).as_posix(), np.fromfile(file, np.uint8)
            digest.update(f"{inside}\0{len(content)}\0".encode())
            digest.update(content.data)
            files[inside] = content
    return Packed(name, str(path), files, digest.hexdigest())


def unpack(packed: Packed) -> str:
    """Return a folder with these files: the very path where it shows them here too, or else a copy, once per machine.

    Raises:
        OSError: if the copy cannot be written.
    """
    there = Path(packed.path)
    if not packed.files:
        return packed.path
    if there.is_dir() and {f.relative_to(there).as_posix(): f.stat().st_size for f in _files(there)} == {
        name: content.size for name, content in packed.files.items()
    }:
        return packed.path
    copy = Path(tempfile.gettempdir()) / f"nas-{os.getuid()}-{packed.digest[:32]}"
    if not copy.exists() or copy.stat().st_uid != os.getuid():  # what others put there is not used
        with tempfile.TemporaryDirectory(dir=copy.parent, prefix=copy.name) as temporary:
            whole = Path(temporary) / "whole"
            for name, content in packed.files.items():
                file = whole / name
                file.parent.mkdir(parents=True, exist_ok=True)
                content.tofile(file)
            try:
                whole.rename(copy)
            except OSError:
                if not copy.exists():  # else another worker was faster
                    raise
    return str(copy)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file())

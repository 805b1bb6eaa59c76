"""Predictors of this machine, kept in the user's cache directory: one file a device, version of torch and precision."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from searchspaces import NasError

if TYPE_CHECKING:
    from hardware.fitted.estimator import Estimator


def cache_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/nas/profiles``, by default below ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nas" / "profiles"


def profile_path(device: str, precision: str) -> Path:
    """Return where the predictor of a device of this machine is kept."""
    import torch

    from hardware.profiling.device import device_name

    version = torch.__version__.split("+")[0]
    name = re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-") or device
    return cache_folder() / f"{device}-{name}-torch{version}-{precision}.json"


def stored_estimator(target: str, device: str, precision: str) -> Estimator:
    """Return the estimator of what `nas profile` stored.

    Raises:
        NasError: if there is nothing, or it is damaged, with the command that makes it anew.
    """
    path = profile_path(device, precision)
    command = f"nas profile --target {target} --precision {precision}"
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        raise NasError(f"{target} has no profile of this machine in {precision} yet; run: {command}") from None
    try:
        return _read(target, path, changed)
    except NasError as error:
        raise NasError(f"{error}; make it anew with: {command}") from None


@lru_cache(maxsize=8)
def _read(target: str, path: Path, changed: int) -> Estimator:
    from hardware.fitted.estimator import Estimator
    from hardware.fitted.predictor import Predictor

    return Estimator(target, Predictor.read(path))

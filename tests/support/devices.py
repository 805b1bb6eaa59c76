"""An invented device whose times follow a known law, and networks to measure on it."""

from __future__ import annotations

import numpy as np

from hardware.fitted.features import COLUMNS, INDEX, TIMED, per_pass
from hardware.fitted.samples import Samples


def columns(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return plausible columns of `count` networks, shape (count, len(COLUMNS))."""
    found = np.exp(rng.normal(0, 1, (count, len(COLUMNS)))) * 10
    found[:, INDEX["pass"]] = 1
    found[:, INDEX["launches"]] = rng.integers(50, 400, count)
    work = found[:, [INDEX["matmul"], INDEX["convolution"]]].sum(axis=1)
    attention = found[:, [INDEX["fused"], INDEX["unfused"]]].sum(axis=1)
    for name in ("log_inner", "log_outer", "log_rows"):
        found[:, INDEX[name]] = work * rng.uniform(3, 8, count)
    for name in ("log_head", "log_keys"):
        found[:, INDEX[name]] = attention * rng.uniform(3, 6, count)
    return found


def prices(rng: np.random.Generator) -> np.ndarray:
    """Return milliseconds per unit of each timed column."""
    return np.exp(rng.normal(-4, 0.5, len(TIMED)))


def samples(count: int, seed: int = 0, noise: float = 0.02, families: int = 8) -> Samples:
    """Return measured passes of `count` networks on the device."""
    rng = np.random.default_rng(seed)
    found, size = columns(count, rng), rng.choice([64.0, 128.0], count)
    time = per_pass(found, size) @ prices(np.random.default_rng(99))
    groups = tuple(f"family{index % families}" for index in range(count))
    return Samples(found, size, time * np.exp(noise * rng.normal(size=count)), groups)

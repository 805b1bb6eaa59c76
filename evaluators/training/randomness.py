"""Randomness that depends on its place in the run and on nothing before it, so that a resumed run draws the same.

timm's Mixup draws from numpy's global generator, RandAugment from Python's and numpy's, stochastic depth from torch's.
Seeding all of them at every step from (seed, epoch, step) leaves no generator state to save.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

INITIAL, STEP, IMAGE = range(3)  # what is drawn; keeps equal (seed, epoch, number) of different uses apart


def seed_all(*key: int) -> None:
    """Seed Python's, numpy's and torch's global generators from a key of non-negative integers."""
    first, second, third = (int(word) for word in np.random.SeedSequence(key).generate_state(3))
    random.seed(first)
    np.random.seed(second)
    torch.manual_seed(third)


@contextmanager
def global_state_kept() -> Iterator[None]:
    """Give the caller's global generators back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)

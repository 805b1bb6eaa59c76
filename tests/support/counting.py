"""What torch itself counts: the oracle of everything that counts operators."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode


def counted(module, shape):
    """Return multiply-accumulates and parameters of a module on the meta device, for one image."""
    module = module.eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops() // 2, sum(p.numel() for p in module.parameters())

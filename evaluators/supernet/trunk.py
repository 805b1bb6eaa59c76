"""The first layers of a network, which all sub-networks share whole, so that a mixed batch runs them once.

Batch normalisation of a mixed batch takes its statistics over the whole batch (ViT-ResNAS normalises its stem so),
which sub-networks that run one after the other could not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from evaluators.supernet.meta import on_meta
from searchspaces import Architecture, get_space


def find_trunk(architecture: Architecture) -> str | None:
    """Return the name of the smallest module that has all batch normalisations and takes the image; None without one.

    Networks whose batch normalisation is elsewhere are trained with statistics per sub-network.
    """
    with on_meta(), torch.no_grad():
        network = get_space(architecture.space).build(architecture)
        names = [name for name, module in network.named_modules() if isinstance(module, _BatchNorm)]
        holders = [name for name, _ in network.named_modules() if all(own.startswith(f"{name}.") for own in names)]
        common = max(holders, key=len) if names and holders else ""
        if not common:
            return None
        side = architecture.image_size
        image = torch.empty(1, architecture.in_channels, side, side)
        seen: list[bool] = []

        def look(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            seen.append(len(arguments) == 1 and arguments[0] is image)

        network.get_submodule(common).register_forward_pre_hook(look)
        network.eval()(image)
    return common if seen == [True] else None

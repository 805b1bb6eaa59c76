"""A network with the linear layer on its patch tokens that only training uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from evaluators.supernet.meta import on_meta
from searchspaces import Architecture, NasError, get_space


@dataclass(frozen=True)
class Outputs:
    """What a training step compares with its targets.

    Args:
        classes: (batch, classes) logits of the network.
        patches: (batch, tokens, classes) logits of every patch token of the last stage; None without a patch head.
    """

    classes: Tensor
    patches: Tensor | None


class Body(nn.Module):
    """The stand-alone network of an architecture and, if wanted, its patch head.

    A super-network holds one of the largest architecture; its sub-networks run one on the meta device, with slices of
    the stored tensors put in the place of its own.

    Args:
        patch_head: add the linear layer on the normalised patch tokens of the last stage (ViT-ResNAS, token mixing).
            The network must have `forward_tokens`, which gives (batch, 1 + tokens, dim), class token first, and
            ``head.classifier`` for the class token.

    Raises:
        NasError: for a patch head on networks without tokens.
    """

    def __init__(self, architecture: Architecture, patch_head: bool) -> None:
        super().__init__()
        self.network = get_space(architecture.space).build(architecture)
        self.patch_head: nn.Linear | None = None
        if patch_head:
            tokens = token_shape(architecture)
            if tokens is None:
                raise NasError(f"networks of {architecture.space!r} give no patch tokens; train without token_mixing")
            self.patch_head = nn.Linear(tokens[1], architecture.num_classes)
            nn.init.trunc_normal_(self.patch_head.weight, std=0.02)
            nn.init.zeros_(self.patch_head.bias)

    def forward(self, images: Tensor) -> Outputs:
        """Return class and patch logits of (batch, channels, size, size) images."""
        if self.patch_head is None:
            return Outputs(self.network(images), None)
        network: Any = self.network
        tokens = network.forward_tokens(images)
        return Outputs(network.head.classifier(tokens[:, 0]), self.patch_head(tokens[:, 1:]))


def token_shape(architecture: Architecture) -> tuple[int, int] | None:
    """Return (patch tokens, width) of the last stage; None if the networks of the space give no tokens."""
    with on_meta(), torch.no_grad():
        network: Any = get_space(architecture.space).build(architecture)
        if not hasattr(network, "forward_tokens"):
            return None
        side = architecture.image_size
        tokens = network.eval().forward_tokens(torch.empty(1, architecture.in_channels, side, side))
    return tokens.shape[1] - 1, tokens.shape[2]

"""The As-ViT network: the chain of its parts, and the module that runs them."""

from __future__ import annotations

from torch import Tensor

from searchspaces.architecture import Architecture
from searchspaces.asvit.geometry import stages
from searchspaces.asvit.layers import Block, Head, Merging, Stem
from searchspaces.chain import Chain
from searchspaces.part import Part


def network_parts(architecture: Architecture) -> list[Part]:
    """Return stem, the blocks of each stage with the mergings between them, and the head."""
    size, channels = architecture.image_size, architecture.in_channels
    plan = stages(architecture)
    position = bool(architecture.choices.get("position_embedding", False))
    first = plan[0]
    stem = {"in_channels": channels, "dim": first.dim, "kernel": first.kernel, "side": first.side}
    parts = [Part("stem", Stem, (*stem.items(), ("position_embedding", position)), (channels, size, size))]
    for number, stage in enumerate(plan, 1):
        if number > 1:
            before = plan[number - 2]
            merging = {"dim": before.dim, "out_dim": stage.dim, "kernel": stage.kernel}
            shape = (before.side, before.side, before.dim)
            parts.append(Part(f"stage{number}.merging", Merging, tuple(merging.items()), shape))
        block = {"dim": stage.dim, "heads": stage.heads, "hidden": stage.hidden, "window": stage.window}
        shape = (stage.side, stage.side, stage.dim)
        for index in range(1, stage.depth + 1):
            parts.append(Part(f"stage{number}.block{index}", Block, tuple(block.items()), shape))
    last = plan[-1]
    head = {"dim": last.dim, "num_classes": architecture.num_classes}
    parts.append(Part("head", Head, tuple(head.items()), (last.side, last.side, last.dim)))
    return parts


class AsViT(Chain):
    """Runs the parts one after the other; freshly initialised as the authors do.

    Linear weights are normal with standard deviation 0.02 (cut at +-2), their biases zero, LayerNorm 1 and 0. The stem
    convolution keeps the framework's uniform initialisation.

    Shapes: (batch, channels, size, size) to (batch, classes).
    """

    def forward_features(self, image: Tensor) -> Tensor:
        """Return the (batch, dim) mean over the tokens of stage 4, before the final LayerNorm."""
        return self.body(image).mean((1, 2))

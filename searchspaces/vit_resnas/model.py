"""The ViT-Res network: the chain of its parts, and the module that runs them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from torch import Tensor

from searchspaces.chain import Chain
from searchspaces.part import Part
from searchspaces.vit_resnas.geometry import Stage
from searchspaces.vit_resnas.layers import Block, Head, Reduction, Stem


def network_parts(
    stages: Sequence[Stage], patch: int, stem_width: int | None, in_channels: int, num_classes: int
) -> list[Part]:
    """Return stem, the blocks of each stage with the reductions between them, and the head.

    Blocks keep their number among the listed ones, so an absent block leaves a hole in the names.

    Args:
        stages: as `geometry.stages` gives them; each map has half the side of the one before.
        patch, stem_width: as in `Layout`.
    """
    first, last = stages[0], stages[-1]
    parts = [_stem(in_channels, first.dim, patch, first.side, stem_width)]
    before = first
    for number, stage in enumerate(stages, 1):
        if number > 1:
            parts.append(_reduction(number, before.dim, stage.dim, before.side))
        tokens, dim, head_dim = stage.tokens, stage.dim, stage.head_dim
        parts += [_block(number, b.number, dim, b.heads, head_dim, b.hidden, tokens) for b in stage.blocks]
        before = stage
    parts.append(_head(last.dim, num_classes, last.tokens))
    return parts


# A space has few distinct parts (3,000 in the largest published one, at one image size), and a search asks for them
# again and again: looking one up takes a tenth of the time of making it.


@lru_cache(maxsize=4096)
def _stem(in_channels: int, dim: int, patch: int, side: int, width: int | None) -> Part:
    sizes = {"in_channels": in_channels, "dim": dim, "patch": patch, "side": side, "width": width}
    return Part("stem", Stem, tuple(sizes.items()), (in_channels, side * patch, side * patch))


@lru_cache(maxsize=4096)
def _reduction(number: int, dim: int, out_dim: int, side: int) -> Part:
    sizes = {"dim": dim, "out_dim": out_dim, "side": side}
    return Part(f"stage{number}.reduction", Reduction, tuple(sizes.items()), (side * side + 1, dim))


@lru_cache(maxsize=65536)
def _block(number: int, index: int, dim: int, heads: int, head_dim: int, hidden: int, tokens: int) -> Part:
    sizes = {"dim": dim, "heads": heads, "head_dim": head_dim, "hidden": hidden}
    return Part(f"stage{number}.block{index}", Block, tuple(sizes.items()), (tokens, dim))


@lru_cache(maxsize=4096)
def _head(dim: int, num_classes: int, tokens: int) -> Part:
    return Part("head", Head, (("dim", dim), ("num_classes", num_classes)), (tokens, dim))


class ViTRes(Chain):
    """Runs the parts one after the other; freshly initialised as the authors do.

    Linear weights, class token and position tables are normal with standard deviation 0.02 (cut at +-2), linear biases
    zero, norms 1 and 0. Convolutions keep the framework's initialisation.

    Shapes: (batch, channels, size, size) to (batch, classes).
    """

    def forward_features(self, image: Tensor) -> Tensor:
        """Return the (batch, dim) class token of the last stage, before the final LayerNorm."""
        return self.body(image)[:, 0]

    def forward_tokens(self, image: Tensor) -> Tensor:
        """Return the (batch, 1 + n, dim) tokens of the last stage after the final LayerNorm, class token first.

        A classifier of the patch tokens, used in training alone, reads them; it is no part of the network.
        """
        return cast(Head, self.head).norm(self.body(image))

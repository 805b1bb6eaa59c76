"""The M3ViT network: the chain of its parts, and the module that runs them."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor

from searchspaces.chain import Chain
from searchspaces.m3vit.geometry import Dense, Network
from searchspaces.m3vit.layers import Block, Head, Stem
from searchspaces.part import Part


def network_parts(network: Network, num_classes: int) -> list[Part]:
    """Return stem, layers and head."""
    tokens, dim = network.tokens, network.dim
    image = (network.channels, network.height, network.width)
    stem = {"in_channels": image[0], "dim": dim, "patch": network.patch, "height": image[1], "width": image[2]}
    parts = [Part("stem", Stem, tuple(stem.items()), image)]
    for number, layer in enumerate(network.layers, 1):
        experts, top_k = (0, 0) if isinstance(layer, Dense) else (layer.experts, layer.top_k)
        parts.append(_block(number, dim, network.heads, layer.hidden, experts, top_k, tokens))
    parts.append(Part("head", Head, (("dim", dim), ("num_classes", num_classes)), (tokens, dim)))
    return parts


@lru_cache(maxsize=65536)
def _block(number: int, dim: int, heads: int, hidden: int, experts: int, top_k: int, tokens: int) -> Part:
    sizes = {"dim": dim, "heads": heads, "hidden": hidden, "experts": experts, "top_k": top_k}
    return Part(f"stage1.block{number}", Block, tuple(sizes.items()), (tokens, dim))


class M3ViT(Chain):
    """Runs the parts one after the other; freshly initialised as DeiT is.

    Linear weights, class token and position table are normal with standard deviation 0.02 (cut at +-2), linear biases
    zero, norms 1 and 0. The patch embedding keeps the framework's initialisation.

    Shapes: (batch, channels, height, width) to (batch, classes).
    """

    def forward_features(self, image: Tensor) -> Tensor:
        """Return the (batch, dim) mean over the tokens of the last layer, before the final LayerNorm."""
        return self.body(image).mean(1)

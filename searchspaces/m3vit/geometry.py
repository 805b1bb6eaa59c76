"""From the decisions of an M3ViT to the sizes of its layers. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from searchspaces.architecture import Architecture

PATCH, ASPECT = 16, 1


class Dense(NamedTuple):
    """A feed-forward network of one hidden width."""

    hidden: int


class Experts(NamedTuple):
    """A mixture of feed-forward networks: each token goes to `top_k` of `experts`, each of width `hidden`."""

    experts: int
    top_k: int
    hidden: int


class Network(NamedTuple):
    """Sizes of a network.

    Args:
        channels, height, width: of the image.
        patch: side of a patch, pixels.
        dim: width of the tokens, the same in all layers.
        heads: attention heads of ``dim // heads`` channels, the same in all layers.
        layers: the feed-forward half of every layer.
    """

    channels: int
    height: int
    width: int
    patch: int
    dim: int
    heads: int
    layers: tuple[Dense | Experts, ...]

    @property
    def tokens(self) -> int:
        """Length of the sequence, class token included."""
        return self.height // self.patch * (self.width // self.patch) + 1

    @property
    def mixtures(self) -> tuple[Experts, ...]:
        """The layers that are mixtures of experts."""
        return tuple(layer for layer in self.layers if isinstance(layer, Experts))


def network(architecture: Architecture, patch: int = PATCH) -> Network:
    """Return the sizes of a network.

    Args:
        patch: side of a patch where the architecture does not say.
    """
    choices: Mapping[str, Any] = architecture.choices
    dim = choices["width"]
    layers: list[Dense | Experts] = []
    for ffn, ratio, expert_ratio in _names(choices["depth"]):
        if choices[ffn] == "dense":
            layers.append(Dense(dim * choices[ratio]))
        else:
            layers.append(Experts(choices["experts"], choices["top_k"], dim * choices[expert_ratio]))
    size = architecture.image_size
    wide = size * choices.get("aspect", ASPECT)
    patch = choices.get("patch", patch)
    return Network(architecture.in_channels, size, wide, patch, dim, choices["heads"], tuple(layers))


@lru_cache(maxsize=64)
def _names(depth: int) -> tuple[tuple[str, str, str], ...]:
    names = (f"layer{number}" for number in range(1, depth + 1))
    return tuple((f"{name}.ffn", f"{name}.ratio", f"{name}.expert_ratio") for name in names)

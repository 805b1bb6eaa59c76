"""The search space of As-ViT (Chen et al., ICLR 2022, arXiv 2202.11921): 4,556,250 seed topologies, and scaling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from searchspaces.architecture import Architecture
from searchspaces.asvit.genotype import read_genotype, write_genotype
from searchspaces.asvit.geometry import DEFAULT_WIDTH, HEAD_DIVISORS, authors_macs, stages
from searchspaces.dimension import Dimension, Value
from searchspaces.errors import NasError
from searchspaces.space import SearchSpace, register_space

if TYPE_CHECKING:
    from torch import nn

    from searchspaces.part import Part

_KERNEL = "kernel of the merging step into the stage, tokens (stride 2)"
_DIMENSIONS = (
    Dimension("stage1.kernel", (4, 5, 6, 7, 8), meaning="kernel of the stem convolution, pixels (stride 4)"),
    Dimension("stage2.kernel", (2, 3, 4), meaning=_KERNEL),
    Dimension("stage3.kernel", (2, 3, 4), meaning=_KERNEL),
    Dimension("stage4.kernel", (2, 3, 4), meaning=_KERNEL),
    Dimension("stage1.split", (8, 4, 2), meaning="attention windows per side of the map"),
    Dimension("stage2.split", (4, 2, 1), meaning="attention windows per side of the map"),
    Dimension("stage3.split", (2, 1), meaning="attention windows per side of the map"),
    *(Dimension(f"stage{i}.expansion", (2, 3, 4, 5, 6), meaning="MLP width over stage width") for i in (1, 2, 3, 4)),
    Dimension("heads", (16, 32, 64), meaning="attention heads of stage 4; stages 1 to 3 have 1/8, 1/4, 1/2 of them"),
    Dimension("width", range(1, 1025), default=DEFAULT_WIDTH, meaning="C, the width of stage 1; doubles per stage"),
    *(Dimension(f"stage{i}.depth", range(1, 65), default=1, meaning="blocks of the stage") for i in (1, 2, 3, 4)),
    Dimension("position_embedding", (False, True), default=False, meaning="learned absolute position embedding"),
)
_PUBLISHED = {
    "asvit_seed": "8,2,3|4,1,2|4,1,4|4,1,6|32",
    "asvit_small": "8,2,3,3|4,1,2,1|4,1,4,4|4,1,6,2|32,88",
    "asvit_base": "8,2,3,3|4,1,2,1|4,1,4,5|4,1,6,2|32,116",
    "asvit_large": "8,2,3,5|4,1,2,2|4,1,4,5|4,1,6,2|32,180",
}


@register_space
class AsViTSpace(SearchSpace):
    """Four-stage window-attention transformers. Dimensions are in the order of the paper's policy."""

    name = "asvit"
    dimensions = _DIMENSIONS
    image_sizes = (32, 4096)

    def check(self, choices: Mapping[str, Value]) -> None:
        """Every head needs at least one channel: C >= heads / 8."""
        width, heads = int(choices["width"]), int(choices["heads"])
        least = heads // HEAD_DIVISORS[0]
        if width < least:
            raise NasError(f"width={width} leaves heads={heads} without channels; give a width of at least {least}")

    def from_notation(self, text: str, **sizes: int) -> Architecture:
        """Return the architecture of a genotype string; `sizes` as in `architecture`.

        Raises:
            NasError: if the text is no genotype or lies outside the space.
        """
        return self.architecture(read_genotype(text), **sizes)

    def notation(self, architecture: Architecture) -> str:
        """Return the genotype string of the paper."""
        return write_genotype(architecture)

    def build(self, architecture: Architecture) -> nn.Module:
        """Return the torch model; its layers are in `searchspaces.asvit.layers`."""
        from searchspaces.asvit.model import AsViT, network_parts

        return AsViT(network_parts(architecture))

    def parts(self, architecture: Architecture) -> list[Part]:
        """Return stem, blocks, mergings and head."""
        from searchspaces.asvit.model import network_parts

        return network_parts(architecture)

    def stages(self, architecture: Architecture) -> list[dict[str, Any]]:
        """Return the sizes of the four stages."""
        return [
            {
                "tokens": stage.side**2,
                "dim": stage.dim,
                "depth": stage.depth,
                "heads": stage.heads,
                "hidden": stage.hidden,
                "kernel": stage.kernel,
                "window": stage.window,
            }
            for stage in stages(architecture)
        ]

    def published(self) -> dict[str, Architecture]:
        """Return the seed topology of the authors' README and the family of the paper, 224 px, 1000 classes."""
        return {name: self.from_notation(genotype) for name, genotype in _PUBLISHED.items()}

    def authors_macs(self, architecture: Architecture, macs: int) -> int:
        """Return the count of the authors' patched operator counter."""
        return authors_macs(architecture, macs)

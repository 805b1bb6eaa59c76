"""The search spaces of ViT-ResNAS (Liao, Karaman, Sze, 2021, arXiv 2109.00642), and smaller ones derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from searchspaces.architecture import Architecture
from searchspaces.space import SearchSpace, register_space
from searchspaces.vit_resnas import geometry
from searchspaces.vit_resnas.layout import REFERENCE, SMALL, TINY, Layout

if TYPE_CHECKING:
    from torch import nn

    from searchspaces.part import Part

_TINY = (
    "176: 3/704 3/576 3/640 4/576 4/704 - | 352: 10/1408 8/1408 8/1280 8/1408 10/1280 10/1024 | "
    "704: 10/2560 10/1792 10/2816 8/2816 8/2560 -"
)
_SMALL = (
    "220: 5/880 5/880 7/800 - 5/720 5/720 5/720 | 440: 10/1760 10/1440 10/1920 10/1600 12/1600 - 12/1440 | "
    "880: 16/3200 12/3200 16/2880 - 12/2240 - 14/2560"
)
_MEDIUM = (
    "240: 7/960 6/960 7/800 8/960 7/880 8/880 6/800 | "
    "640: 10/1120 14/1760 14/1920 16/1760 14/1440 16/1760 16/1920 | "
    "880: 16/3200 10/3840 16/3840 12/3200 16/3520 - 14/3520"
)
_REFERENCE = "192: 3/768 3/768 3/768 3/768 | 384: 6/1536 6/1536 6/1536 6/1536 | 768: 12/3072 12/3072 12/3072 12/3072"


class ViTResNASSpace(SearchSpace):
    """Three-stage transformers with residual spatial reduction. A new member of the family sets `name` and `layout`.

    Attributes:
        layout: the choices of each stage, patch and stem; dimensions and image sizes follow from it.
        networks: published networks: name to (short form, side of the image).
    """

    layout: ClassVar[Layout]
    networks: ClassVar[Mapping[str, tuple[str, int]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        step = cls.layout.image_step
        cls.dimensions = cls.layout.dimensions()
        cls.image_step = step
        cls.image_sizes = (step, 4096 // step * step)

    def from_notation(self, text: str, **sizes: int) -> Architecture:
        """Return the architecture of a short form; `sizes` as in `architecture`.

        Raises:
            NasError: if the text has another form or lies outside the space.
        """
        return self.architecture(geometry.read_blocks(self.layout, text), **sizes)

    def notation(self, architecture: Architecture) -> str:
        """Return the short form: the width of each stage, then heads/hidden of each block, ``-`` for an absent one."""
        return geometry.write_blocks(self.layout, architecture)

    def build(self, architecture: Architecture) -> nn.Module:
        """Return the torch model; its layers are in `searchspaces.vit_resnas.layers`."""
        from searchspaces.vit_resnas.model import ViTRes

        return ViTRes(self.parts(architecture))

    def parts(self, architecture: Architecture) -> list[Part]:
        """Return stem, blocks, reductions and head."""
        from searchspaces.vit_resnas.model import network_parts

        layout = self.layout
        plan = geometry.stages(layout, architecture)
        return network_parts(plan, layout.patch, layout.stem_width, architecture.in_channels, architecture.num_classes)

    def stages(self, architecture: Architecture) -> list[dict[str, Any]]:
        """Return the sizes of the stages; heads and hidden per block."""
        return [
            {
                "tokens": stage.tokens,
                "dim": stage.dim,
                "depth": len(stage.blocks),
                "heads": [block.heads for block in stage.blocks],
                "head_dim": stage.head_dim,
                "hidden": [block.hidden for block in stage.blocks],
            }
            for stage in geometry.stages(self.layout, architecture)
        ]

    def published(self) -> dict[str, Architecture]:
        """Return the published networks of this space, 1000 classes.

        ViT-ResNAS-Tiny and Medium were published with their absent blocks removed, so which block it was is not
        known; here it is the last one that may be absent.
        """
        return {name: self.from_notation(text, image_size=size) for name, (text, size) in self.networks.items()}

    def authors_macs(self, architecture: Architecture, macs: int) -> int:
        """Return the count with the stem's map fixed at 112 x 112, as the authors' estimator has it.

        Raises:
            NasError: for a space with other patches than theirs, where that would mean nothing.
        """
        if self.layout.patch != geometry.AUTHORS_PATCH:
            return super().authors_macs(architecture, macs)
        return geometry.authors_macs(self.layout, architecture, macs)


@register_space
class ViTResNASTiny(ViTResNASSpace):
    """The space of ViT-ResNAS-Tiny; 224 px in the paper."""

    name = "vit_resnas_tiny"
    layout = TINY
    networks: ClassVar = {"vit_resnas_tiny": (_TINY, 224)}


@register_space
class ViTResNASSmall(ViTResNASSpace):
    """The space of ViT-ResNAS-Small and Medium; 224 px in the paper, Medium fine-tuned at more."""

    name = "vit_resnas_small"
    layout = SMALL
    networks: ClassVar = {
        "vit_resnas_small": (_SMALL, 224),
        "vit_resnas_medium": (_MEDIUM, 224),
        **{f"vit_resnas_medium_{size}": (_MEDIUM, size) for size in (280, 336, 392)},
    }


@register_space
class ViTResNASReference(ViTResNASSpace):
    """ViT-Res-Tiny alone, the hand-made network that sets the MAC limit of Tiny; its heads fit no searched space."""

    name = "vit_resnas_reference"
    layout = REFERENCE
    networks: ClassVar = {"vit_res_tiny": (_REFERENCE, 224)}


@register_space
class ViTResNASCifar(ViTResNASSpace):
    """The Tiny space at a quarter of its width for 32 px images, which become the paper's 16 x 16 tokens."""

    name = "vit_resnas_cifar"
    layout = TINY.scaled(4, patch=2, stem_width=24)


@register_space
class ViTResNASDigits(ViTResNASSpace):
    """The Tiny space at an eighth of its width, with 2 to 4 blocks a stage, for 32 px images: 8 x 8 tokens."""

    name = "vit_resnas_digits"
    layout = TINY.scaled(8, patch=4, stem_width=12, blocks=4)

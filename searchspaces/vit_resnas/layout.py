"""The numbers that tell one ViT-ResNAS space from another (arXiv 2109.00642), and how a smaller one is derived."""

from __future__ import annotations

from dataclasses import dataclass, replace

from searchspaces.dimension import Dimension
from searchspaces.errors import NasError


@dataclass(frozen=True)
class StageLayout:
    """What the blocks of one stage may be; all choices from the smallest to the largest.

    Args:
        dims: widths of the stage.
        head_dim: channels of an attention head. ``heads * head_dim`` need not be the width of the stage.
        heads: attention heads of a block.
        hidden: widths of a block's MLP.
        blocks: blocks listed.
        skippable: those that a network may leave out, counted from 1.
    """

    dims: tuple[int, ...]
    head_dim: int
    heads: tuple[int, ...]
    hidden: tuple[int, ...]
    blocks: int
    skippable: tuple[int, ...] = (2, 4, 6)

    def scaled(self, divisor: int, blocks: int | None = None) -> StageLayout:
        """Return the stage with all channels over `divisor` and only the first `blocks` (None: all); heads stay.

        Raises:
            NasError: if a number of channels cannot be divided, or there are not as many blocks.
        """
        kept = self.blocks if blocks is None else blocks
        if not 1 <= kept <= self.blocks:
            raise NasError(f"blocks={blocks} is outside the stage; give 1 to {self.blocks}")
        for value in (*self.dims, self.head_dim, *self.hidden):
            if divisor < 1 or value % divisor:
                raise NasError(f"divisor={divisor} does not divide {value} channels; give a common divisor")
        return replace(
            self,
            dims=tuple(dim // divisor for dim in self.dims),
            head_dim=self.head_dim // divisor,
            hidden=tuple(hidden // divisor for hidden in self.hidden),
            blocks=kept,
            skippable=tuple(index for index in self.skippable if index <= kept),
        )


@dataclass(frozen=True)
class Layout:
    """A whole space: its stages, and how an image becomes tokens.

    Args:
        stages: the stages; between two of them the side of the token map is halved.
        patch: pixels per side of a token of stage 1.
        stem_width: channels of the three convolutions before the patch embedding, which halve the image; None: the
            patches are embedded as they are.

    Raises:
        NasError: for a patch the stem cannot make.
    """

    stages: tuple[StageLayout, ...]
    patch: int = 14
    stem_width: int | None = 24

    def __post_init__(self) -> None:
        if self.patch < 1 or (self.stem_width is not None and self.patch % 2):
            raise NasError(
                f"patch={self.patch} cannot be made by the stem, which halves the image; give an even number"
            )

    @property
    def image_step(self) -> int:
        """The side of an image is a multiple of this, so that every stage gets a whole token map."""
        return int(self.patch * 2 ** (len(self.stages) - 1))

    def scaled(self, divisor: int, patch: int, stem_width: int | None = None, blocks: int | None = None) -> Layout:
        """Return the layout for smaller images: other patches and stem, and stages as `StageLayout.scaled` has them.

        >>> TINY.scaled(8, patch=4, stem_width=12).stages[0].dims
        (20, 22, 24, 28, 32)
        """
        return Layout(tuple(stage.scaled(divisor, blocks) for stage in self.stages), patch, stem_width)

    def dimensions(self) -> tuple[Dimension, ...]:
        """Return the decisions: per stage its width, then per block presence (if free), heads and hidden."""
        found = []
        for number, stage in enumerate(self.stages, 1):
            found.append(Dimension(f"stage{number}.dim", stage.dims, meaning="width of the stage, channels"))
            for index in range(1, stage.blocks + 1):
                block, condition = f"stage{number}.block{index}", None
                if index in stage.skippable:
                    condition = (f"{block}.present", (True,))
                    found.append(Dimension(condition[0], (False, True), meaning="whether the block exists"))
                heads = f"attention heads of {stage.head_dim} channels"
                found.append(Dimension(f"{block}.heads", stage.heads, condition, meaning=heads))
                found.append(
                    Dimension(f"{block}.hidden", stage.hidden, condition, meaning="width of the MLP, channels")
                )
        return tuple(found)


TINY = Layout(
    (
        StageLayout((160, 176, 192, 224, 256), 32, (3, 4, 5, 6), (384, 448, 512, 576, 640, 704, 768), 6),
        StageLayout((320, 352, 384, 448, 512), 48, (6, 8, 10, 12), (768, 896, 1024, 1152, 1280, 1408, 1536), 6),
        StageLayout((640, 704, 768, 896, 1024), 64, (6, 8, 10, 12), (1536, 1792, 2048, 2304, 2560, 2816, 3072), 6),
    )
)
SMALL = Layout(
    (
        StageLayout((200, 220, 240, 280, 320), 32, (5, 6, 7, 8), (480, 560, 640, 720, 800, 880, 960), 7),
        StageLayout((400, 440, 480, 560, 640), 48, (10, 12, 14, 16), (960, 1120, 1280, 1440, 1600, 1760, 1920), 7),
        StageLayout((800, 880, 960, 1120, 1280), 64, (10, 12, 14, 16), (1920, 2240, 2560, 2880, 3200, 3520, 3840), 7),
    )
)
REFERENCE = Layout(
    (
        StageLayout((192,), 64, (3,), (768,), 4, ()),
        StageLayout((384,), 64, (6,), (1536,), 4, ()),
        StageLayout((768,), 64, (12,), (3072,), 4, ()),
    )
)

"""From the decisions of a ViT-ResNAS to the sizes of its stages, and its written form. No torch here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from searchspaces.errors import NasError
from searchspaces.vit_resnas.layout import Layout

if TYPE_CHECKING:
    from searchspaces.architecture import Architecture
    from searchspaces.dimension import Value

AUTHORS_PATCH = 14
AUTHORS_STEM_SIDE = 112  # the authors' counter takes the stem's map to be that of a 224 px image, whatever comes in
FORM = "DIM: HEADS/HIDDEN ... | DIM: ... | DIM: ..., with - for an absent block"


class Block(NamedTuple):
    """A block that exists: its number among the listed ones, attention heads, and width of the MLP."""

    number: int
    heads: int
    hidden: int


class Stage(NamedTuple):
    """Sizes of one stage.

    Args:
        side: patch tokens per side of the map; the class token comes on top.
        dim: width.
        head_dim: channels of an attention head.
        blocks: the blocks that exist, in order.
    """

    side: int
    dim: int
    head_dim: int
    blocks: tuple[Block, ...]

    @property
    def tokens(self) -> int:
        """Length of the sequence, class token included."""
        return self.side**2 + 1


@lru_cache(maxsize=64)
def _names(layout: Layout) -> tuple[tuple[str, tuple[tuple[int, str, str], ...]], ...]:
    """Return the names of a layout's decisions: per stage that of its width, then (index, heads, hidden) per block."""
    return tuple(
        (
            f"stage{number}.dim",
            tuple(
                (index, f"stage{number}.block{index}.heads", f"stage{number}.block{index}.hidden")
                for index in range(1, stage.blocks + 1)
            ),
        )
        for number, stage in enumerate(layout.stages, 1)
    )


def stages(layout: Layout, architecture: Architecture) -> tuple[Stage, ...]:
    """Return the stages of a network; the side of the image must be a multiple of ``layout.image_step``."""
    choices: Mapping[str, Any] = architecture.choices
    side = architecture.image_size // layout.patch
    found = []
    for plan, (dim, names) in zip(layout.stages, _names(layout), strict=True):
        blocks = [Block(i, choices[heads], choices[hidden]) for i, heads, hidden in names if heads in choices]
        found.append(Stage(side, choices[dim], plan.head_dim, tuple(blocks)))
        side //= 2
    return tuple(found)


def authors_macs(layout: Layout, architecture: Architecture, macs: int) -> int:
    """Return the count of the authors' estimator, given the true one.

    It puts the stem's convolutions on a map of 112 x 112 at every image size (sheet section 11.3), which is right at
    224 px and too low above.
    """
    if layout.stem_width is None:
        return macs
    weights = 9 * layout.stem_width * (architecture.in_channels + 2 * layout.stem_width)
    return macs + weights * (AUTHORS_STEM_SIDE**2 - (architecture.image_size // 2) ** 2)


def write_blocks(layout: Layout, architecture: Architecture) -> str:
    """Return the short form: the width of each stage, then heads/hidden of each block, ``-`` for an absent one."""
    choices, groups = architecture.choices, []
    for dim, names in _names(layout):
        blocks = [f"{choices[heads]}/{choices[hidden]}" if heads in choices else "-" for _, heads, hidden in names]
        groups.append(f"{choices[dim]}: {' '.join(blocks)}")
    return " | ".join(groups)


def read_blocks(layout: Layout, text: str) -> dict[str, Value]:
    """Return the choices a short form stands for; values are checked by the space.

    Raises:
        NasError: if the text has another form, or another number of stages or blocks.
    """
    groups = [re.fullmatch(r"\s*(\d+):((?:\s+(?:\d+/\d+|-))+)\s*", group) for group in text.split("|")]
    if len(groups) != len(layout.stages) or None in groups:
        raise NasError(f"network {text!r} is not of the form {FORM}")
    choices: dict[str, Value] = {}
    for number, (group, plan) in enumerate(zip(groups, layout.stages, strict=True), 1):
        assert group is not None
        choices[f"stage{number}.dim"] = int(group[1])
        written = group[2].split()
        if len(written) != plan.blocks:
            raise NasError(f"network {text!r} lists {len(written)} blocks in stage {number}; give {plan.blocks}")
        for index, entry in enumerate(written, 1):
            block = f"stage{number}.block{index}"
            if index in plan.skippable:
                choices[f"{block}.present"] = entry != "-"
            if entry != "-":
                heads, hidden = entry.split("/")
                choices[f"{block}.heads"], choices[f"{block}.hidden"] = int(heads), int(hidden)
    return choices

"""Where in a network an operator stands, read from its dotted name."""

from __future__ import annotations

import re

# `stage1.block2`, `stages.1.blocks.2`, `layers.0.downsample`, `blocks.3`, `stem`: a stage if there is one, then the
# next word with its number if it has one.
_PLACE = re.compile(r"(?:(?:stages?|layers?|levels?)\.?\d+\.)?[^.]+(?:\.\d+)?")
_STAGE = re.compile(r"(?:stages?|layers?|levels?)(\.?)(\d+)\.")


def place_of(name: str) -> str:
    """Return the block of an operator.

    >>> place_of("stage1.block2.attention.qkv"), place_of("blocks.3.mlp.fc1"), place_of("layers.0.blocks.1.norm1")
    ('stage1.block2', 'blocks.3', 'layers.0.blocks.1')
    """
    match = _PLACE.match(name)
    return name if match is None else match.group()


def stage_of(name: str) -> int:
    """Return the number of the stage, from 1; 0 outside the stages. Lists of modules count from 0.

    >>> stage_of("stage1.block2.norm1"), stage_of("layers.0.blocks.1.norm1"), stage_of("stem.norm")
    (1, 1, 0)
    """
    match = _STAGE.match(name)
    return 0 if match is None else int(match.group(2)) + bool(match.group(1))

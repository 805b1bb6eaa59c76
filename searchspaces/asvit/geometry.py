"""From the decisions of an As-ViT to the sizes of its four stages. No torch here (sheet section 1)."""

from __future__ import annotations

from dataclasses import dataclass

from searchspaces.architecture import Architecture

STEM_STRIDE = 4
MAX_DIM = 1024  # the authors cap the width of a stage here; it bites for C > 128
DEFAULT_WIDTH = 32
HEAD_DIVISORS = (8, 4, 2, 1)  # heads of stage i are those of stage 4 over this


@dataclass(frozen=True)
class Stage:
    """Sizes of one stage.

    Args:
        side: tokens per side of the map.
        kernel: kernel of the step that enters the stage: pixels for the stem, tokens for a merging.
        dim: width d.
        depth: number of blocks.
        heads: attention heads; each has ``dim // heads`` channels.
        hidden: width of the MLP.
        window: side of an attention window, tokens.
    """

    side: int
    kernel: int
    dim: int
    depth: int
    heads: int
    hidden: int
    window: int


def stages(architecture: Architecture) -> tuple[Stage, ...]:
    """Return the four stages. Odd maps grow by one before a merging; windows are clipped to the map."""
    choices = architecture.choices
    width = int(choices.get("width", DEFAULT_WIDTH))
    side = -(-architecture.image_size // STEM_STRIDE)
    found = []
    for number in (1, 2, 3, 4):
        dim = min(MAX_DIM, width * 2 ** (number - 1))
        split = int(choices.get(f"stage{number}.split", 1))
        found.append(
            Stage(
                side=side,
                kernel=int(choices[f"stage{number}.kernel"]),
                dim=dim,
                depth=int(choices.get(f"stage{number}.depth", 1)),
                heads=int(choices["heads"]) // HEAD_DIVISORS[number - 1],
                hidden=dim * int(choices[f"stage{number}.expansion"]),
                window=-(-side // split),
            )
        )
        side = -(-side // 2)
    return tuple(found)


def authors_macs(architecture: Architecture, macs: int) -> int:
    """Return the count of the authors' patched operator counter, given the plain one (sheet section 11).

    It adds the stem's bias (one per output element) and the pooling, which it counts twice over tokens + 1.
    """
    first, *_, last = stages(architecture)
    return macs + first.side**2 * first.dim + 2 * (last.side**2 + 1) * last.dim

"""The genotype string of the paper: ``K1,S1,E1[,L1]|K2,S2,E2[,L2]|K3,S3,E3[,L3]|K4,S4,E4[,L4]|H[,C]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchspaces.asvit.geometry import DEFAULT_WIDTH
from searchspaces.errors import NasError

if TYPE_CHECKING:
    from searchspaces.architecture import Architecture
    from searchspaces.dimension import Value

FORM = "K1,S1,E1[,L1]|K2,S2,E2[,L2]|K3,S3,E3[,L3]|K4,1,E4[,L4]|H[,C]"


def read_genotype(text: str) -> dict[str, Value]:
    """Return the choices a genotype string stands for; missing depths are 1, a missing C is 32.

    >>> read_genotype("8,2,3|4,1,2|4,1,4|4,1,6|32")["stage4.expansion"]
    6

    Raises:
        NasError: if the text has another form; values are checked by the space.
    """
    try:
        *stages, last = [[int(number) for number in group.split(",")] for group in text.strip().split("|")]
    except ValueError as error:
        raise NasError(f"genotype {text!r} is not of the form {FORM}") from error
    if len(stages) != 4 or any(len(stage) not in (3, 4) for stage in stages) or len(last) not in (1, 2):
        raise NasError(f"genotype {text!r} is not of the form {FORM}")
    if stages[3][1] != 1:
        raise NasError(f"genotype {text!r} splits stage 4 by {stages[3][1]}; its split is always 1")
    choices: dict[str, Value] = {"heads": last[0], "width": last[1] if len(last) == 2 else DEFAULT_WIDTH}
    for number, (kernel, split, expansion, *depth) in enumerate(stages, 1):
        choices[f"stage{number}.kernel"] = kernel
        choices[f"stage{number}.expansion"] = expansion
        choices[f"stage{number}.depth"] = depth[0] if depth else 1
        if number < 4:
            choices[f"stage{number}.split"] = split
    return choices


def write_genotype(architecture: Architecture) -> str:
    """Return the genotype string of an As-ViT; depths and C are written for scaled networks only.

    The string has no place for the position embedding.
    """
    choices = architecture.choices
    scaled = "width" in choices
    groups = []
    for number in (1, 2, 3, 4):
        group = [choices[f"stage{number}.kernel"], choices.get(f"stage{number}.split", 1)]
        group.append(choices[f"stage{number}.expansion"])
        groups.append([*group, choices[f"stage{number}.depth"]] if scaled else group)
    groups.append([choices["heads"], choices["width"]] if scaled else [choices["heads"]])
    return "|".join(",".join(str(value) for value in group) for group in groups)

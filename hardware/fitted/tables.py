"""Measured networks of the timm repository: reading its benchmark tables, without counting one network twice."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from searchspaces import NasError

# Vision transformers of one width throughout, some with a convolutional stem.
PLAIN = frozenset({"vit", "deit", "deit3", "beit", "beitv2", "eva", "eva02", "flexivit", "samvit", "cait"})
# First words of the names of networks that mix tokens by attention, wholly or in some of their stages.
TRANSFORMERS = PLAIN | frozenset(
    [
        "caformer",
        "coat",
        "coatnet",
        "coatnext",
        "convit",
        "crossvit",
        "davit",
        "edgenext",
        "efficientformer",
        "efficientformerv2",
        "efficientvit",
        "fastvit",
        "gcvit",
        "hiera",
        "hieradet",
        "levit",
        "maxvit",
        "maxxvit",
        "maxxvitv2",
        "mobilevit",
        "mobilevitv2",
        "mvitv2",
        "nest",
        "nextvit",
        "pit",
        "pvt",
        "sam2",
        "swin",
        "swinv2",
        "tiny",
        "tnt",
        "twins",
        "visformer",
        "vitamin",
        "volo",
        "xcit",
    ]
)


@dataclass(frozen=True)
class Row:
    """One measured network.

    Args:
        model: name in timm, with the tag of its weights where the table has one.
        image_size: side of the input, pixels.
        latency_ms: of one image: the time of a pass divided by the images in it.
        batch_size: images in a pass.
        params, macs, activations: millions, 10^9 and millions, as timm counts them.
    """

    model: str
    image_size: int
    latency_ms: float
    batch_size: int
    params: float
    macs: float
    activations: float

    @property
    def family(self) -> str:
        """First word of the name."""
        return self.model.split("_")[0].split(".")[0]

    @property
    def plain(self) -> bool:
        """Whether it is a plain vision transformer."""
        return self.family in PLAIN


def read_table(path: str | Path) -> list[Row]:
    """Return the rows of one of timm's ``benchmark-infer-*.csv``.

    Raises:
        NasError: if the file cannot be read or lacks a column.
    """
    try:
        with Path(path).open(newline="") as stream:
            return [_row(record) for record in csv.DictReader(stream)]
    except OSError as error:
        raise NasError(f"cannot read the table {path}: {error.strerror}") from None
    except (KeyError, ValueError) as error:
        raise NasError(f"{path} is no inference table of timm: {error}") from None


def _row(record: dict[str, str]) -> Row:
    def number(name: str) -> float:
        return float(record[name].replace(",", ""))

    return Row(
        record["model"],
        int(number("infer_img_size")),
        1000 / number("infer_samples_per_sec"),
        int(number("infer_batch_size")),
        number("param_count"),
        number("infer_gmacs"),
        number("infer_macts"),
    )


def distinct(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without repeated networks, the first of each kept.

    Many rows are one network under several names. Parameters, multiply-accumulates, activations and image size tell
    networks apart; a split that leaves copies on both sides would measure memory, not prediction.
    """
    seen: dict[tuple[float, float, float, int], Row] = {}
    for row in rows:
        seen.setdefault((row.params, row.macs, row.activations, row.image_size), row)
    return list(seen.values())


def transformers(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of networks with attention."""
    return [row for row in rows if row.family in TRANSFORMERS]

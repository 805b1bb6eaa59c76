"""One operator of a network: what it reads, writes and multiplies."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

# What an operator can be. Every operator that a trace meets has one of these kinds.
KINDS = (
    "matmul",  # linear layers: activations times weights
    "convolution",
    "attention_scores",  # queries times keys
    "attention_values",  # attention weights times values
    "softmax",
    "norm",
    "activation",
    "elementwise",
    "unfold",
    "gather",  # copies: transposes, concatenations, padding, indexing
    "pooling",  # means and other reductions
)


@dataclass(frozen=True)
class Operator:
    """One operator for one image.

    Args:
        name: dotted place, unique in its network, such as ``stage1.block2.attention.qkv``.
        kind: one of `KINDS`.
        inputs: shapes of the activations it reads, each without the batch.
        output: shape of what it writes, without the batch.
        macs: multiply-accumulates.
        params: scalars in its parameters.
        bytes_read, bytes_written: activations in single precision (4 bytes per number); parameters are not among them.
        block: the part of the network it belongs to, such as ``stage1.block2``.
        stage: number of the stage, from 1; 0 outside the stages.
        attributes: what else tells its cost, such as ``kernel``, ``stride``, ``groups`` or ``heads``.
    """

    name: str
    kind: str
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    macs: int = 0
    params: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    block: str = ""
    stage: int = 0
    attributes: tuple[tuple[str, Any], ...] = field(default=())

    @property
    def elements(self) -> int:
        """Numbers it writes."""
        return prod(self.output)

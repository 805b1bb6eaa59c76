"""Layers that several spaces share."""

from __future__ import annotations

from torch import nn


class QkvLinear(nn.Linear):
    """A linear layer whose outputs are the queries, the keys and the values, one after the other.

    Each third is head-major. A super-network keeps a prefix of every third, not of the whole output.
    """

    groups = 3

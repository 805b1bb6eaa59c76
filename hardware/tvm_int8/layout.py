"""Where the numbers of a tensor lie: reshapes, slices, windows and paddings as one table of addresses.

A tensor of the network is an int64 tensor of addresses of the same shape. An address holds a buffer's number (from 1)
in its high bits and the place in that buffer in its low ones; address 0 is a zero of padding. Torch itself applies the
network's layout operators to the addresses, so any of them, in any order, ends up as one gather.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PLACE_BITS = 32
SHORT = 16  # numbers; runs shorter than this may as well each have a length of their own
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """Runs copied from one buffer.

    Args:
        buffer: number of the buffer.
        table: (runs, 3) int32, of each run: its place in the buffer, its place in the result, and its length.
    """

    buffer: int
    table: NDArray[np.int32]


def whole(buffer: int, shape: tuple[int, ...]) -> Tensor:
    """Return the addresses of a buffer that holds a tensor of this shape, last axis fastest."""
    count = 1
    for size in shape:
        count *= size
    return (torch.arange(count, device="cpu") + (buffer << PLACE_BITS)).reshape(shape)


def is_whole(addresses: Tensor, size: int) -> bool:
    """Return whether the addresses are a buffer of `size` numbers from its first to its last."""
    if addresses.numel() != size:
        return False
    flat = addresses.reshape(-1)
    first = int(flat[0])
    return first & (2**PLACE_BITS - 1) == 0 and bool((flat == torch.arange(first, first + size)).all())


def permutes_whole(addresses: Tensor, size: int) -> bool:
    """Return whether the addresses name each number of one buffer of `size` numbers exactly once."""
    if addresses.numel() != size:
        return False
    ordered = addresses.reshape(-1).sort().values
    return is_whole(ordered, size)


def run_length(addresses: Indices) -> int:
    """Return the length, at most the last axis's, of the consecutive runs the rows fall into.

    Args:
        addresses: (rows, columns).
    """
    columns = addresses.shape[1]
    if columns == 1:
        return 1
    follows = (addresses[:, 1:] == addresses[:, :-1] + 1) | ((addresses[:, 1:] == 0) & (addresses[:, :-1] == 0))
    breaks = np.flatnonzero(~follows.all(0)) + 1
    return int(np.gcd.reduce(np.append(breaks, columns)))


def best_order(addresses: Indices) -> Indices | None:
    """Return the order of the columns that makes the runs longest, None where the present one is as good.

    A row without padding gives the order: that of its addresses.
    """
    rows = np.flatnonzero((addresses != 0).all(1))
    if not len(rows):
        return None
    order = np.argsort(addresses[rows[0]], kind="stable")
    return order if run_length(addresses[:, order]) > run_length(addresses) else None


def pieces(addresses: Indices) -> tuple[list[Piece], int, bool]:
    """Return the runs that copy these (rows, columns) addresses.

    Returns:
        One piece per buffer, buffers in order; the length of the runs, 0 where they differ; and whether zeros stay.
        Runs of zeros are left out.
    """
    length = run_length(addresses)
    flat = addresses.reshape(-1)
    firsts = np.arange(0, len(flat), length, dtype=np.int64)
    lengths = np.full(len(firsts), length, np.int64)
    if length < SHORT:
        follows = (flat[1:] == flat[:-1] + 1) | ((flat[1:] == 0) & (flat[:-1] == 0))
        found = np.append(0, np.flatnonzero(~follows) + 1)
        if 2 * len(found) <= len(firsts):
            firsts, length = found, 0
            lengths = np.diff(np.append(firsts, len(flat)))
    starts = flat[firsts]
    buffers = starts >> PLACE_BITS
    made = []
    for buffer in np.unique(buffers[buffers > 0]).tolist():
        chosen = buffers == buffer
        table = np.stack([starts[chosen] & (2**PLACE_BITS - 1), firsts[chosen], lengths[chosen]], 1)
        made.append(Piece(buffer, table.astype(np.int32)))
    return made, length, bool((buffers == 0).any())


def places(addresses: Tensor) -> Tensor:
    """Return the places in their buffers of these addresses."""
    return addresses & (2**PLACE_BITS - 1)


def relocate(values: Tensor, addresses: Tensor) -> Tensor:
    """Return a buffer's content, flat, such that `addresses` (which name all of it once) read `values`."""
    flat = torch.empty(values.numel(), dtype=values.dtype, device=values.device)
    flat[places(addresses).reshape(-1).to(values.device)] = values.reshape(-1)
    return flat

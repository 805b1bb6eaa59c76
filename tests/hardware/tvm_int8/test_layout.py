"""Addresses: what they copy is what the layout operators of torch give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hardware.tvm_int8 import layout


def copied(addresses: Tensor, buffers: dict[int, np.ndarray]) -> np.ndarray:
    """Return what the runs of a gather copy."""
    rows = addresses.reshape(-1, addresses.shape[-1]).numpy()
    result = np.zeros(rows.size, np.int64)
    pieces, length, zeros = layout.pieces(rows)
    assert zeros == bool((rows == 0).any())
    for piece in pieces:
        for start, target, count in piece.table.tolist():
            assert length in (0, count)
            result[target : target + count] = buffers[piece.buffer][start : start + count]
    return result.reshape(addresses.shape)


def windows(x: Tensor) -> Tensor:
    return x.reshape(1, 2, 3, 2, 3, 8).permute(0, 1, 3, 2, 4, 5).flatten(1, 2)


@pytest.mark.parametrize(
    "move",
    [
        lambda x: x,
        lambda x: x[:, 1:, ::2],
        lambda x: F.pad(x, (0, 0, 1, 2, 1, 2)),
        lambda x: F.pad(x, (0, 0, 1, 2, 1, 2)).unfold(1, 3, 2).unfold(2, 3, 2).flatten(3),
        windows,
        lambda x: x.permute(0, 3, 1, 2).transpose(-1, -2),
        lambda x: torch.cat([x[:, :2], x[:, 3:]], dim=2) if x.shape[1] == 5 else x.chunk(2, dim=-1)[1],
        lambda x: F.unfold(x.double().permute(0, 3, 1, 2), 3, 1, 1, 2).long().transpose(1, 2),
    ],
)
def test_a_gather_copies_what_torch_moves(move: object) -> None:
    values = torch.arange(1, 1 * 6 * 6 * 8 + 1).reshape(1, 6, 6, 8)
    addresses = move(layout.whole(3, (1, 6, 6, 8)))  # type: ignore[operator]
    found = copied(addresses, {3: values.reshape(-1).numpy()})
    np.testing.assert_array_equal(found, move(values).numpy())  # type: ignore[operator]


def test_a_gather_of_two_buffers() -> None:
    a, b = layout.whole(1, (1, 1, 4)), layout.whole(2, (1, 3, 4))
    joined = torch.cat([a, b], dim=1)
    found = copied(joined, {1: np.arange(4), 2: np.arange(100, 112)})
    np.testing.assert_array_equal(found.reshape(-1), [0, 1, 2, 3, *range(100, 112)])


def test_whole_and_permuted_buffers_are_recognised() -> None:
    x = layout.whole(5, (2, 3, 4))
    assert layout.is_whole(x.flatten(1), 24)
    assert not layout.is_whole(x[1:], 24)
    assert not layout.is_whole(x.transpose(1, 2), 24)
    assert layout.permutes_whole(x.transpose(1, 2), 24)
    assert not layout.permutes_whole(x[:, :2].repeat(1, 2, 1)[:, :3], 24)


def test_the_best_order_of_unfolded_channels_copies_whole_tokens() -> None:
    x = layout.whole(1, (1, 6, 6, 8)).unfold(1, 2, 2).unfold(2, 2, 2).flatten(3).reshape(9, 32).numpy()
    assert layout.run_length(x) == 1
    order = layout.best_order(x)
    assert order is not None
    assert layout.run_length(x[:, order]) == 16
    assert layout.best_order(x[:, order]) is None


def test_relocate_undoes_a_permutation() -> None:
    addresses = layout.whole(1, (3, 4)).T
    values = torch.randn(4, 3)
    flat = layout.relocate(values, addresses)
    assert torch.equal(flat[layout.places(addresses)], values)

"""Token mixing: every cell has the target of the pixels in it."""

import numpy as np
import pytest
import torch

from evaluators.supernet.mixing import draw_box, mix_tokens, smooth_targets


def batch(count, size):
    """Images whose pixels are their own number, and targets that tell them apart."""
    images = torch.arange(count, dtype=torch.float64)[:, None, None, None].expand(count, 2, size, size).clone()
    return images, torch.eye(count, dtype=torch.float64)


@pytest.mark.parametrize("side", [2, 4, 7])
def test_targets_are_what_is_in_the_pixels(side):
    for seed in range(30):
        images, targets = batch(8, side * 3)
        mixed, found = mix_tokens(images, targets, side, np.random.default_rng(seed))
        cells = mixed[:, 0].unfold(1, 3, 3).unfold(2, 3, 3).flatten(1, 2).mean((2, 3))  # (batch, cells)
        numbers = torch.arange(8, dtype=torch.float64)
        torch.testing.assert_close(found.patches @ numbers, cells)
        torch.testing.assert_close(found.classes @ numbers, cells.mean(1))
        torch.testing.assert_close(found.classes.sum(1), torch.ones(8, dtype=torch.float64))
        whole = found.patches[:4] == 1
        assert whole.sum() == 4 * side**2  # the first half is cut, not blended
        assert torch.equal(images, batch(8, side * 3)[0])


def test_a_single_cell_is_mixed_and_not_cut():
    images, targets = batch(8, 4)
    mixed, found = mix_tokens(images, targets, 1, np.random.default_rng(3))
    assert (found.classes.max(1).values < 1).sum() >= 4  # some are their own partner
    torch.testing.assert_close(found.classes @ torch.arange(8, dtype=torch.float64), mixed.mean((1, 2, 3)))


@pytest.mark.parametrize("side", [2, 3, 4, 7])
def test_boxes_stay_inside(side):
    rng = np.random.default_rng(0)
    for _ in range(500):
        top, left, height, width = draw_box(side, rng)
        assert 0 <= top <= side - height < side
        assert 0 <= left <= side - width
        assert width >= 0


def test_smoothing():
    targets = smooth_targets(torch.tensor([2]), 5, 0.1)
    torch.testing.assert_close(targets, torch.tensor([[0.02, 0.02, 0.92, 0.02, 0.02]]))

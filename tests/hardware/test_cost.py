"""Counting: against the formula, and each distinct part once."""

import torch

from hardware import cost, network_cost
from searchspaces import get_space
from searchspaces.asvit.layers import Block


def test_block_macs_by_hand():
    side, dim, heads, hidden, window = 8, 32, 4, 96, 4
    with torch.device("meta"):
        block = Block(dim, heads, hidden, window)
    counted = cost._trace(block, (side, side, dim))
    tokens = side * side
    linear = tokens * (4 * dim * dim + 2 * dim * hidden)
    attention = 2 * tokens * window * window * dim
    assert counted.macs == linear + attention
    assert counted.params == sum(p.numel() for p in block.parameters())
    assert counted.output_shape == (side, side, dim)


def test_nothing_is_computed_and_parts_are_traced_once():
    cost.part_cost.cache_clear()
    seed = get_space("asvit").published()["asvit_large"]
    before = torch.random.get_rng_state()
    assert network_cost(seed).macs == 22_358_480_640 - 56**2 * 180 - 100 * 1024
    assert cost.part_cost.cache_info().misses == 1 + 4 + 3 + 1
    assert torch.equal(before, torch.random.get_rng_state())


def test_spaces_without_parts_are_traced_whole():
    toy = get_space("toy").smallest(image_size=4, num_classes=5)
    assert network_cost(toy).macs == 48 * 4 + 4 * 5

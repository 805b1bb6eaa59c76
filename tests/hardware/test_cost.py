"""Counting: against published numbers, and each distinct part once."""

import torch

from hardware import network_cost
from hardware.graph import part_graph
from searchspaces import get_space


def test_nothing_is_computed_and_parts_are_traced_once():
    part_graph.cache_clear()
    seed = get_space("asvit").published()["asvit_large"]
    before = torch.random.get_rng_state()
    assert network_cost(seed).macs == 22_358_480_640 - 56**2 * 180 - 100 * 1024
    assert part_graph.cache_info().misses <= 1 + 4 + 3 + 1
    assert torch.equal(before, torch.random.get_rng_state())


def test_spaces_without_parts_are_traced_whole():
    toy = get_space("toy").smallest(image_size=4, num_classes=5)
    assert network_cost(toy).macs == 48 * 4 + 4 * 5

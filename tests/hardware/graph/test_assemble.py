"""Whole networks: every space against torch's counter, parts against the whole, and networks of timm."""

import networkx as nx
import numpy as np
import pytest
import torch
from counting import counted

from hardware import build_network, network_cost, network_parts, timm_network
from hardware.graph import operator_graph, operators, part_graph, timm_graph
from hardware.graph.shortcuts import NoInitialisation
from hardware.graph.trace import trace_module
from searchspaces import NasError, get_space, spaces

SPACES = [name for name in spaces.names() if not name.startswith("supernet_")]


def drawn(name, seed=0):
    space = get_space(name)
    return space.sample(np.random.default_rng(seed), **size_of(space))


def size_of(space):
    low, high = space.image_sizes
    return {"image_size": 224 if low <= 224 <= high else low}


def check(network):
    """The sums over the operators against torch's counter on the whole module."""
    with torch.device("meta"), NoInitialisation():
        module = build_network(network)
    shape = (network.in_channels, network.image_size, network.image_size)
    found = operators(network)
    macs, params = counted(module, shape)
    assert (sum(o.macs for o in found), sum(o.params for o in found)) == (macs, params)
    cost = network_cost(network)
    assert (cost.macs, cost.params, cost.output_shape) == (macs, params, (network.num_classes,))


@pytest.mark.parametrize("name", SPACES)
def test_sums_are_those_of_the_module(name):
    space = get_space(name)
    check(space.smallest(**size_of(space)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_sums_of_more_networks(name):
    space = get_space(name)
    for network in (space.largest(**size_of(space)), *(drawn(name, seed) for seed in range(3))):
        check(network)


def _look(operator):
    return operator.kind, operator.inputs, operator.output, operator.macs, operator.params, operator.attributes


@pytest.mark.parametrize("name", SPACES)
def test_assembled_from_parts_is_the_network_traced_whole(name):
    network = drawn(name)
    shape = (network.in_channels, network.image_size, network.image_size)
    with torch.device("meta"), NoInitialisation():
        module = build_network(network)
    whole, assembled = trace_module(module, shape), operator_graph(network)
    looks = [[_look(o) for _, o in graph.nodes(data="operator")] for graph in (whole, assembled)]
    assert looks[0] == looks[1]
    place = [{node: i for i, node in enumerate(graph.nodes)} for graph in (whole, assembled)]
    edges = [{(p[a], p[b]) for a, b in g.edges} for g, p in zip((whole, assembled), place, strict=True)]
    assert edges[0] == edges[1]
    assert [o for _, o in assembled.nodes(data="operator")] == list(operators(network))


def test_blocks_and_stages_are_those_of_the_parts():
    network = get_space("asvit").published()["asvit_small"]
    found = operators(network)
    assert list(dict.fromkeys(o.block for o in found)) == [part.name for part in network_parts(network)]
    assert {o.stage for o in found if o.block.startswith("stage3.")} == {3}
    assert {o.stage for o in found if o.block in ("stem", "head")} == {0}
    assert len({o.name for o in found}) == len(found)


def test_each_distinct_part_is_traced_once():
    part_graph.cache_clear()
    operators(get_space("asvit").published()["asvit_large"])
    assert part_graph.cache_info().misses == 1 + 4 + 3 + 1


@pytest.mark.parametrize(
    "name",
    [
        *("deit_small_patch16_224", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "cait_xxs24_224"),
        *(
            "xcit_nano_12_p16_224",
            "levit_128s",
            "deit_tiny_distilled_patch16_224",
            "mvitv2_tiny",
            "beit_base_patch16_224",
        ),
        *("vit_small_patch14_dinov2", "convnext_tiny", "twins_svt_small"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "maxvit_tiny_rw_224",
                "coat_tiny",
                "volo_d1_224",
                "swinv2_tiny_window8_256",
                "gcvit_tiny",
                "tnt_s_patch16_224",
                "crossvit_9_240",
                "hiera_tiny_224",
                "davit_tiny",
                "mobilevit_s",
                "efficientvit_b0",
                "convit_tiny",
                "focalnet_tiny_srf",
                "pit_ti_224",
                "eva02_tiny_patch14_224",
            )
        ),
    ],
)
def test_networks_of_timm(name):
    network = timm_network(name)
    graph = timm_graph(name)
    with torch.device("meta"), NoInitialisation():
        module = build_network(network)
    found = [o for _, o in graph.nodes(data="operator")]
    expected = counted(module, (3, network.image_size, network.image_size))
    assert (sum(o.macs for o in found), sum(o.params for o in found)) == expected
    assert nx.is_directed_acyclic_graph(graph)
    assert nx.is_weakly_connected(graph)


def test_a_plain_vit_of_timm_by_hand():
    found = operators(timm_network("timm:deit_small_patch16_224"))
    kinds = {kind: sum(o.kind == kind for o in found) for kind in ("matmul", "attention_scores", "softmax", "norm")}
    assert kinds == {"matmul": 12 * 4 + 1, "attention_scores": 12, "softmax": 12, "norm": 25}
    scores = next(o for o in found if o.kind == "attention_scores")
    assert dict(scores.attributes) | {"fused": None} == {
        "heads": 6, "windows": 1, "tokens": 197, "keys": 197, "head_dim": 64, "fused": None,
    }  # fmt: skip
    assert sum(o.params for o in found) == 22_050_664
    assert [o.block for o in found if o.name.endswith("fc1")] == [f"blocks.{i}" for i in range(12)]


def test_stages_of_a_hierarchical_network_of_timm():
    found = operators(timm_network("swin_tiny_patch4_window7_224"))
    assert [sum(o.kind == "softmax" and o.stage == s for o in found) for s in (1, 2, 3, 4)] == [2, 2, 6, 2]
    windows = [dict(o.attributes)["windows"] for o in found if o.kind == "attention_scores"]
    assert windows == [64] * 2 + [16] * 2 + [4] * 6 + [1] * 2


def test_image_size_of_a_network_of_timm():
    assert timm_network("deit_tiny_patch16_224").image_size == 224
    large = network_cost(timm_network("deit_tiny_patch16_224", 384))
    assert large.macs > 3 * network_cost(timm_network("deit_tiny_patch16_224")).macs
    assert network_cost(timm_network("resnet18", 64)).output_shape == (1000,)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("deit_smal_patch16_224", None, "unknown timm network 'deit_smal_patch16_224'; did you mean"),
        ("hf_hub:someone/something", None, "unknown timm network"),
        ("deit_tiny_patch16_224", 0, "image_size=0 must be"),
        ("maxvit_tiny_rw_224", 100, "timm:maxvit_tiny_rw_224 .* at image_size=100"),
    ],
)
def test_mistakes_are_named(name, size, message):
    with pytest.raises(NasError, match=message):
        network_cost(timm_network(name, size))

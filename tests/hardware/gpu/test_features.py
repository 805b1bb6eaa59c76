"""A network as sums over its operators."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.fitted.estimator import network_columns, part_sums
from hardware.fitted.features import COLUMNS, INDEX, WORK, network_features, operator_features, per_pass
from hardware.graph import Operator
from hardware.network import network_parts
from searchspaces import get_space


def value(operator: Operator, name: str) -> float:
    return float(operator_features(operator)[INDEX[name]])


def test_a_linear_layer_works_and_moves():
    sizes = (("tokens", 10), ("in_features", 8), ("out_features", 4))
    layer = Operator("fc", "matmul", ((10, 8),), (10, 4), 320, 36, 320, 160, attributes=sizes)
    assert value(layer, "matmul") == pytest.approx(320e-6)
    assert value(layer, "move_matmul") == pytest.approx(120e-6)
    assert value(layer, "params") == pytest.approx(36e-6)
    assert value(layer, "log_inner") == pytest.approx(320e-6 * np.log(8))
    assert value(layer, "log_outer") == pytest.approx(320e-6 * np.log(4))
    assert value(layer, "log_rows") == pytest.approx(320e-6 * np.log(10))


@pytest.mark.parametrize(("groups", "column"), [(1, "convolution"), (2, "grouped"), (8, "depthwise")])
def test_convolutions_are_told_apart(groups, column):
    attributes = (("groups", groups), ("in_channels", 8), ("out_channels", 8))
    convolution = Operator("c", "convolution", ((8, 5, 5),), (8, 5, 5), 1000, 0, 800, 800, attributes=attributes)
    vector = operator_features(convolution)
    assert {name for name in WORK if vector[INDEX[name]]} == {column}
    assert vector[INDEX[f"move_{column}"]] == pytest.approx(400e-6)


def test_a_fused_attention_moves_no_weights():
    heads, tokens, dim = 2, 7, 3
    rows, scores = (heads, tokens, dim), (heads, tokens, tokens)
    sizes = (("head_dim", dim), ("keys", tokens), ("fused", True))
    one = heads * tokens * dim
    many = heads * tokens * tokens
    macs = many * dim
    graph = [
        Operator("s", "attention_scores", (rows, rows), scores, macs, 0, 8 * one, 4 * many, attributes=sizes),
        Operator("w", "softmax", (scores,), scores, 0, 0, 4 * many, 4 * many, attributes=sizes),
        Operator("v", "attention_values", (scores, rows), rows, macs, 0, 4 * (many + one), 4 * one, attributes=sizes),
    ]
    columns = dict(zip(COLUMNS, network_features(graph), strict=True))
    assert columns["move_fused"] == pytest.approx(4 * one / 1e6)  # queries, keys and values read, the output written
    assert columns["fused_weights"] == pytest.approx(many / 1e6)
    assert columns["fused"] == pytest.approx(2 * macs / 1e6)
    assert columns["launches"] == pytest.approx(1)
    assert columns["move_softmax"] == columns["move_unfused"] == 0


def test_operators_on_parameters_alone_count_once_per_pass():
    table = Operator("bias", "gather", (), (9, 9), 0, 81, 0, 324, attributes=(("constant", True),))
    small, large = (per_pass(operator_features(table), size) for size in (1, 100))
    assert small == pytest.approx(large)
    assert small[INDEX["constant_moved"]] == pytest.approx(81e-6)


def test_columns_add_up_to_the_cost_of_the_network():
    from hardware import network_cost

    network = get_space("asvit").published()["asvit_small"]
    columns, cost = network_columns(network), network_cost(network)
    work = columns[[INDEX[name] for name in WORK]].sum() + columns[INDEX["constant_work"]]
    assert work == pytest.approx(cost.macs / 1e6)
    assert columns[INDEX["params"]] == pytest.approx(cost.params / 1e6)
    assert columns[INDEX["launches"]] == pytest.approx(
        sum(part_sums(p).total[INDEX["launches"]] for p in network_parts(network))
    )

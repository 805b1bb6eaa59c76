"""The trace against torch's own counter, hand counts and itself without its shortcuts."""

import networkx as nx
import pytest
import torch
from counting import counted
from torch import nn
from torch.nn import functional as F

from hardware.graph import KINDS, trace
from hardware.graph.trace import trace_module
from searchspaces.asvit.layers import Block, Merging, Stem


def meta(make):
    with torch.device("meta"):
        return make()


def traced(module, shape):
    return [operator for _, operator in trace_module(module, shape).nodes(data="operator")]


class Attention(nn.Module):
    """Attention by hand: scaled, with a bias table, heads mixed before and after the softmax."""

    def __init__(self, dim, heads, tokens, mixed):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.table = nn.Parameter(torch.zeros(heads, 2 * tokens - 1))
        self.register_buffer("index", torch.zeros(tokens, tokens, dtype=torch.long))
        self.before = nn.Linear(heads, heads) if mixed else nn.Identity()
        self.out = nn.Linear(dim, dim)

    def forward(self, x):
        batch, tokens, dim = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q * 0.1) @ k.transpose(-2, -1) + self.table[:, self.index]
        scores = self.before(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        out = scores.softmax(-1) @ v
        return self.out(out.transpose(1, 2).reshape(batch, tokens, dim))


class Fused(nn.Module):
    def forward(self, x):
        q, k, v = x.reshape(x.shape[0], -1, 3, 4, 8).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k[:, :, :5], v[:, :, :5])


class Odd(nn.Module):
    """Tied and unread parameters, in-place operators, einsum, raw products, a module that runs twice."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = nn.Linear(8, 8, bias=False)
        self.b.weight = self.a.weight
        self.act = nn.ReLU(inplace=True)
        self.scale = nn.Parameter(torch.ones(8))
        self.matrix = nn.Parameter(torch.ones(8, 3))
        self.unread = nn.Linear(5, 7)

    def forward(self, x):
        x = self.act(self.b(self.act(self.a(x))))
        x = self.a(x).mul_(self.scale) + x
        return torch.einsum("btc,cd->btd", x, self.matrix) + x.mean(1, keepdim=True) @ self.matrix


CASES = {
    "window block": (lambda: Block(32, 4, 96, 4), (8, 8, 32)),
    "window block with a rest": (lambda: Block(32, 4, 96, 3), (8, 8, 32)),
    "stem": (lambda: Stem(3, 16, 7, 8, True), (3, 30, 30)),
    "merging": (lambda: Merging(16, 32, 3), (8, 8, 16)),
    "unfused": (lambda: Attention(24, 4, 9, False), (9, 24)),
    "talking heads": (lambda: Attention(24, 4, 9, True), (9, 24)),
    "fused": (Fused, (9, 96)),
    "odd": (Odd, (6, 8)),
    "torch's own attention": (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (10, 16)),
    "grouped convolution": (lambda: nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, groups=4), nn.BatchNorm2d(16)), (8, 9, 9)),
    "convolution in one dimension": (lambda: nn.Conv1d(4, 6, 3), (4, 9)),
}


@pytest.mark.parametrize("name", CASES)
def test_sums_are_exact_and_edges_follow_the_data(name):
    make, shape = CASES[name]
    graph = trace_module(meta(make), shape)
    operators = [operator for _, operator in graph.nodes(data="operator")]
    sums = sum(o.macs for o in operators), sum(o.params for o in operators)
    assert sums == counted(meta(make), shape)
    assert graph.graph["output_shape"] == tuple(meta(make).eval()(torch.empty(1, *shape, device="meta")).shape[1:])
    assert all(operator.kind in KINDS and operator.name == node for node, operator in graph.nodes(data="operator"))
    assert nx.is_directed_acyclic_graph(graph)
    order = {node: place for place, node in enumerate(graph.nodes)}
    assert all(order[a] < order[b] for a, b in graph.edges)
    (last,) = graph.graph["writers"]
    used = set(graph.graph["readers"]).union(*(nx.descendants(graph, reader) for reader in graph.graph["readers"]))
    assert last in used
    assert {o.name for o in operators if not dict(o.attributes).get("constant")} <= used


@pytest.mark.parametrize("name", CASES)
def test_shortcuts_change_nothing(name, monkeypatch):
    make, shape = CASES[name]
    quick = trace_module(meta(make), shape)
    monkeypatch.setattr(trace, "known_output", lambda *_: None)
    slow = trace_module(meta(make), shape)
    assert list(quick.nodes(data="operator")) == list(slow.nodes(data="operator"))
    assert list(quick.edges) == list(slow.edges)


def test_a_block_by_hand():
    tokens, dim, heads, hidden, window = 64, 32, 4, 96, 4
    found = {o.name: o for o in traced(meta(lambda: Block(dim, heads, hidden, window)), (8, 8, dim))}
    assert [o.kind for o in found.values()] == [
        *("norm", "matmul", "gather", "gather", "gather", "attention_scores", "softmax", "attention_values", "gather"),
        *("matmul", "elementwise", "norm", "matmul", "activation", "matmul", "elementwise"),
    ]
    qkv = found["attention.qkv"]
    assert (qkv.inputs, qkv.output) == (((8, 8, dim),), (8, 8, 3 * dim))
    assert (qkv.macs, qkv.params) == (tokens * dim * 3 * dim, 3 * dim * (dim + 1))
    assert (qkv.bytes_read, qkv.bytes_written) == (4 * tokens * dim, 4 * tokens * 3 * dim)
    assert dict(qkv.attributes) == {"tokens": tokens, "in_features": dim, "out_features": 3 * dim}
    scores = dict(found["attention.attention_scores"].attributes)
    sizes = {"heads": heads, "windows": 4, "tokens": 16, "keys": 16, "head_dim": 8}
    assert scores == {**sizes, "fused": True}
    assert found["attention.attention_scores"].macs == tokens * 16 * dim
    assert found["attention.softmax"].elements == 4 * heads * 16 * 16
    assert found["mlp.fc2"].params == dim * (hidden + 1)
    assert found["add2"].bytes_read == 2 * found["add2"].bytes_written == 8 * tokens * dim


def test_unfused_attention_is_recognised():
    for name in ("unfused", "talking heads"):
        make, shape = CASES[name]
        found = {o.name: o for o in traced(meta(make), shape)}
        scores, values = found["attention_scores"], found["attention_values"]
        assert dict(scores.attributes) == {"heads": 4, "windows": 1, "tokens": 9, "keys": 9, "head_dim": 6}
        assert dict(values.attributes) == dict(scores.attributes)
        assert scores.macs == values.macs == 4 * 9 * 9 * 6
        table = found["index"]
        assert (table.kind, table.params, dict(table.attributes)["constant"]) == ("gather", 4 * 17, True)


def test_merging_unfolds():
    unfold = next(o for o in traced(meta(lambda: Merging(16, 32, 3)), (8, 8, 16)) if o.kind == "unfold")
    assert dict(unfold.attributes) == {"kernel": (3, 3), "stride": (2, 2)}
    assert unfold.output == (4, 4, 16, 3, 3)


def test_tied_and_unread_parameters():
    found = {o.name: o for o in traced(meta(Odd), (6, 8))}
    assert found["a"].params == 72
    assert found["b"].params == 0
    assert found["a.2"].macs == found["a"].macs
    assert (found["unread"].params, found["unread"].macs, found["unread"].bytes_read) == (42, 0, 0)


def test_convolution_attributes():
    convolution, norm = traced(meta(CASES["grouped convolution"][0]), (8, 9, 9))
    assert dict(convolution.attributes) == {
        "kernel": (3, 3),
        "stride": (2, 2),
        "padding": (1, 1),
        "groups": 4,
        "in_channels": 8,
        "out_channels": 16,
    }
    assert convolution.macs == 25 * 16 * 2 * 9
    assert dict(norm.attributes) == {"norm": "batch"}


def test_nothing_is_left_on_the_module():
    block = meta(lambda: Block(32, 4, 96, 4))
    trace_module(block, (8, 8, 32), "stage1.block1", 1)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in block.modules())
    assert all(
        o.block == "b" and o.stage == 3 for _, o in trace_module(block, (8, 8, 32), "b", 3).nodes(data="operator")
    )

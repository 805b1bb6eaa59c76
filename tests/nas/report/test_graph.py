"""The drawing of the operator graph: repeated blocks once, everything inside the page, nothing on top of each other."""

import re

import pytest

from hardware import timm_network
from hardware.graph import operator_graph
from nas.report.graph import graph_svg, panels
from searchspaces import get_space

NETWORKS = {
    "asvit_large": lambda: get_space("asvit").published()["asvit_large"],
    "vit_resnas_tiny": lambda: get_space("vit_resnas_tiny").published()["vit_resnas_tiny"],
    "cait": lambda: timm_network("cait_xxs24_224"),
}


@pytest.fixture(scope="module", params=NETWORKS)
def graph(request):
    return operator_graph(NETWORKS[request.param]())


def test_panels_hold_every_operator(graph):
    found = panels(graph)
    assert sum(panel.repeats * len(panel.operators) for panel in found) == graph.number_of_nodes()
    assert sum(p.repeats * sum(o.macs for o in p.operators) for p in found) == sum(
        operator.macs for _, operator in graph.nodes(data="operator")
    )
    assert all(panel.rows[a] < panel.rows[b] for panel in found for a, b in panel.edges)


def test_equal_blocks_are_one_panel():
    titles = [(p.title, p.repeats) for p in panels(operator_graph(NETWORKS["asvit_large"]()))]
    assert titles == [
        ("stem", 1),
        ("stage1.block1 to block5", 5),
        *(("stage2.merging", 1), ("stage2.block1 to block2", 2)),
        *(("stage3.merging", 1), ("stage3.block1 to block5", 5)),
        *(("stage4.merging", 1), ("stage4.block1 to block2", 2)),
        ("head", 1),
    ]


def test_boxes_lie_in_the_page_and_apart(graph):
    svg = graph_svg(graph, "a <network> & more")
    assert "a &lt;network&gt; &amp; more" in svg
    width, height = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())
    boxes = [
        tuple(map(int, m))
        for m in re.findall(r'<g><title>.*?<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', svg)
    ]
    assert len(boxes) == sum(len(panel.operators) for panel in panels(graph))
    for i, (x, y, w, h) in enumerate(boxes):
        assert x >= 0
        assert x + w <= width
        assert y >= 0
        assert y + h <= height
        for x2, y2, w2, h2 in boxes[:i]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y

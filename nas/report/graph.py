"""The operator graph of a network drawn as SVG: a panel per block, repeated blocks once, read from top to bottom."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from nas.report.wording import TIMES, count

if TYPE_CHECKING:
    import networkx as nx

    from hardware.graph import Operator

_COLOURS = {
    "matmul": "#4a7fd6",
    "convolution": "#2f9e8f",
    "attention_scores": "#dd8431",
    "attention_values": "#dd8431",
    "softmax": "#c9a227",
    "norm": "#8e6bc4",
    "activation": "#c65b8a",
    "unfold": "#7a8794",
    "gather": "#7a8794",
    "pooling": "#5d9c4a",
    "elementwise": "#9aa4b1",
}
_BOX, _GAP, _ROW = 172, 14, 52  # width of an operator, space beside it, height of a row; pixels
_HEIGHT = 34  # of an operator
_HEAD, _MARGIN = 64, 24  # above the first row of a panel; around the drawing
_ENTRY = 16  # from where a block is entered to its first row
_TALLEST = 1500  # of a column of panels, unless one panel is taller


@dataclass(frozen=True)
class Panel:
    """One block, or a run of equal ones.

    Args:
        title: name of the first block and, of a run, of the last.
        repeats: how many equal blocks follow each other.
        operators: of one of them, in the order of execution.
        edges: pairs of places in `operators`.
        readers: places of the operators that read what comes from outside.
        rows: row of each operator, from the top.
    """

    title: str
    repeats: int
    operators: tuple[Operator, ...]
    edges: tuple[tuple[int, int], ...]
    readers: tuple[int, ...]
    rows: tuple[int, ...]

    @property
    def columns(self) -> int:
        """Most operators side by side."""
        return max(self.rows.count(row) for row in set(self.rows))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels, a lane for residual edges included."""
        return self.columns * (_BOX + _GAP) + 3 * _GAP, _HEAD + (max(self.rows) + 1) * _ROW


def panels(graph: nx.DiGraph) -> list[Panel]:
    """Return the blocks of an operator graph in order; equal blocks that follow each other are one panel."""
    blocks: list[list[str]] = []
    for name, operator in graph.nodes(data="operator"):
        if blocks and graph.nodes[blocks[-1][0]]["operator"].block == operator.block:
            blocks[-1].append(name)
        else:
            blocks.append([name])
    found: list[Panel] = []
    looks: list[object] = []
    for names in blocks:
        panel = _panel(graph, names)
        look = ([_look(o) for o in panel.operators], panel.edges, panel.readers)
        if found and looks[-1] == look:
            first = found[-1].title.split(" to ")[0]
            found[-1] = dataclasses.replace(
                found[-1], title=f"{first} to {panel.title.rpartition('.')[2]}", repeats=found[-1].repeats + 1
            )
        else:
            found.append(panel)
            looks.append(look)
    return found


def graph_svg(graph: nx.DiGraph, title: str) -> str:
    """Return the drawing of an operator graph as a whole SVG document.

    Args:
        title: what the network is called.
    """
    shown = panels(graph)
    columns = _columns(shown)
    pieces: list[str] = []
    x, bottom = float(_MARGIN), 0.0
    for column in columns:
        y = _MARGIN + 84.0
        width = max(panel.size[0] for panel in column)
        for panel in column:
            _draw(panel, x, y, width, pieces)
            y += panel.size[1] + 26
            if panel is not shown[-1]:
                pieces.append(_arrow(x + width / 2, y - 24))
        x, bottom = x + width + 40, max(bottom, y)
    width, height = max(x - 40 + _MARGIN, 760), bottom
    operators = [operator for _, operator in graph.nodes(data="operator")]
    macs, params = sum(o.macs for o in operators), sum(o.params for o in operators)
    facts = f"{len(operators)} operators, {count(macs)} multiply-accumulates, {count(params)} parameters"
    shapes = f"input {_shape(graph.graph['input_shape'])}, output {_shape(graph.graph['output_shape'])}"
    head = [
        _text(_MARGIN, _MARGIN + 12, title, 'font-size="20" font-weight="600"'),
        _text(_MARGIN, _MARGIN + 34, f"{facts}; {shapes}; columns from left to right", 'font-size="13"'),
        *_legend({o.kind for o in operators}),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="system-ui, sans-serif" font-size="12" role="img">'
        f"<title>{escape(title)}</title>"
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(head)}{"".join(pieces)}</svg>\n'
    )


def _panel(graph: nx.DiGraph, names: Sequence[str]) -> Panel:
    place = {name: index for index, name in enumerate(names)}
    edges = tuple(sorted((place[a], place[b]) for a, b in graph.subgraph(names).edges))
    first = set(graph.graph["readers"])
    outside = [n for n in names if n in first or any(before not in place for before in graph.predecessors(n))]
    rows = [0] * len(names)
    for index in range(len(names)):  # the order of execution is a topological one
        rows[index] = max((rows[a] + 1 for a, b in edges if b == index), default=0)
    operators = tuple(graph.nodes[name]["operator"] for name in names)
    return Panel(operators[0].block or "network", 1, operators, edges, tuple(place[n] for n in outside), tuple(rows))


def _look(operator: Operator) -> tuple[object, ...]:
    """Return everything a reader sees of an operator but its place in the network."""
    return _short(operator), operator.kind, operator.inputs, operator.output, operator.params, operator.attributes


def _short(operator: Operator) -> str:
    return operator.name.removeprefix(operator.block).lstrip(".") or operator.name


def _columns(shown: Sequence[Panel]) -> list[list[Panel]]:
    tallest = max(_TALLEST, *(panel.size[1] for panel in shown))
    columns: list[list[Panel]] = [[]]
    height = 0.0
    for panel in shown:
        if columns[-1] and height + panel.size[1] > tallest:
            columns.append([])
            height = 0.0
        columns[-1].append(panel)
        height += panel.size[1] + 26
    return columns


def _draw(panel: Panel, x: float, y: float, width: float, pieces: list[str]) -> None:
    own, height = panel.size
    macs = sum(o.macs for o in panel.operators)
    pieces.append(
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="8" fill="#f5f6f8" '
        'stroke="#d5d9e0"/>'
    )
    times = f"  {TIMES} {panel.repeats}" if panel.repeats > 1 else ""
    pieces.append(_text(x + 12, y + 20, panel.title + times, 'font-size="13" font-weight="600"'))
    each = " each" if panel.repeats > 1 else ""
    pieces.append(_text(x + 12, y + 36, f"{count(macs)} MACs{each}", 'font-size="11" fill="#5a6472"'))
    left = x + (width - own) / 2 + 2 * _GAP
    centres: list[tuple[float, float]] = []
    for index, row in enumerate(panel.rows):
        beside = [i for i, r in enumerate(panel.rows) if r == row]
        offset = (panel.columns - len(beside)) / 2 + beside.index(index)
        centres.append((left + offset * (_BOX + _GAP) + _BOX / 2, y + _HEAD + row * _ROW + _HEIGHT / 2))
    entry = x + width / 2, y + _HEAD - _ENTRY
    pieces.append(f'<circle cx="{entry[0]:.0f}" cy="{entry[1]:.0f}" r="3" fill="#8a94a3"/>')
    for b in panel.readers:
        pieces.append(_edge(entry, centres[b], panel.rows[b] == 0, left))
    for a, b in panel.edges:
        start = centres[a][0], centres[a][1] + _HEIGHT / 2
        pieces.append(_edge(start, centres[b], panel.rows[b] - panel.rows[a] == 1, left))
    for operator, (cx, cy) in zip(panel.operators, centres, strict=True):
        pieces.append(_box(operator, cx, cy))


def _edge(start: tuple[float, float], end: tuple[float, float], near: bool, left: float) -> str:
    """Draw an edge down to the operator centred at `end`; one that is not near goes through the lane at the left."""
    (x1, y1), (x2, y2) = start, (end[0], end[1] - _HEIGHT / 2)
    if near:
        bend = (y2 - y1) / 2
        path = f"M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}"
    else:
        lane = left - _GAP
        path = (
            f"M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + 12:.0f} {lane:.0f} {y1:.0f} {lane:.0f} {y1 + 20:.0f}"
            f"V{y2 - 20:.0f}C{lane:.0f} {y2:.0f} {x2:.0f} {y2 - 12:.0f} {x2:.0f} {y2:.0f}"
        )
    return f'<path d="{path}" fill="none" stroke="#8a94a3" stroke-width="1.3"/>'


def _box(operator: Operator, cx: float, cy: float) -> str:
    x, y = cx - _BOX / 2, cy - _HEIGHT / 2
    colour = _COLOURS[operator.kind]
    cost = f" · {count(operator.macs)}" if operator.macs else ""
    label = f"{operator.name}: {operator.kind}, {_shape(operator.output)}, {operator.params:,} parameters"
    return (
        f"<g><title>{escape(label)}</title>"
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{_BOX}" height="{_HEIGHT}" rx="5" fill="{colour}" fill-opacity="0.16" '
        f'stroke="{colour}"/>'
        + _text(cx, cy - 3, _fitted(_short(operator)), 'text-anchor="middle" font-size="12"')
        + _text(cx, cy + 11, _shape(operator.output) + cost, 'text-anchor="middle" font-size="10" fill="#4a5361"')
        + "</g>"
    )


def _legend(kinds: set[str]) -> list[str]:
    pieces, x = [], float(_MARGIN)
    for kind, colour in _COLOURS.items():
        if kind in kinds:
            y = _MARGIN + 48
            pieces.append(f'<rect x="{x:.0f}" y="{y}" width="14" height="14" rx="3" fill="{colour}" opacity="0.6"/>')
            pieces.append(_text(x + 19, y + 11, kind.replace("_", " "), 'font-size="11"'))
            x += 32 + 6.2 * len(kind)
    return pieces


def _arrow(x: float, y: float) -> str:
    return f'<path d="M{x:.0f} {y:.0f}v20m-5 -6l5 6l5 -6" fill="none" stroke="#5a6472" stroke-width="1.5"/>'


def _text(x: float, y: float, text: str, style: str) -> str:
    fill = "" if "fill=" in style else ' fill="#20262e"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}{fill}>{escape(text)}</text>'


def _fitted(name: str, most: int = 26) -> str:
    return name if len(name) <= most else "…" + name[-most + 1 :]


def _shape(shape: Sequence[int]) -> str:
    return TIMES.join(str(size) for size in shape)

"""One network drawn as SVG for the page, large and as a thumbnail."""

from __future__ import annotations

import math
from html import escape

from nas.report.anatomy import Section, anatomy
from nas.report.labels import MAX_SLABS, cost, first_facts, labels, spoken, with_arrows
from nas.report.wording import TIMES, plain
from searchspaces import Architecture

_ACCENT = "#4a7fd6"  # legible on white and on near-black; the page may set another through the classes


def svg_drawing(architecture: Architecture) -> str:
    """Return an inline SVG: per stage slabs as wide as its dim, as many as its blocks, and a map of tokens.

    Text takes the colour of the page around it. Spaces without stages give an HTML list of their choices.
    """
    network = anatomy(architecture)
    if not network.stages:
        return _choice_list(architecture)
    widest = max((stage.number("dim") or 0 for stage in network.stages), default=0)
    most_tokens = max((stage.number("tokens") or 0 for stage in network.stages), default=0)
    pieces: list[str] = []
    y = 6.0
    y = _svg_end(pieces, y, "input", network.input)
    for section, entering in with_arrows(network):
        y = _svg_arrow(pieces, y, entering)
        if section.facts:
            y = _svg_stage(pieces, y, section, widest, most_tokens)
        else:
            y = _svg_end(pieces, y, section.name, cost(section))
    y = _svg_arrow(pieces, y, "")
    y = _svg_end(pieces, y, "output", f"{architecture.num_classes:,} classes")
    return (
        f'<svg class="network" viewBox="0 0 520 {y + 6:.0f}" role="img" font-family="inherit" font-size="15">'
        f"<title>{escape(spoken(network))}</title>{''.join(pieces)}</svg>"
    )


def svg_thumbnail(architecture: Architecture) -> str:
    """Return a small inline SVG: a column per block, solid as high as its dim, pale as high as its MLP.

    Heights follow the square root, or early stages would vanish beside late ones. Empty for spaces without stages.
    """
    network = anatomy(architecture)
    if not network.stages:
        return ""
    highest = max(max(s.number("hidden") or 0, s.number("dim") or 0) for s in network.stages) or 1.0
    pieces: list[str] = []
    x = 1.0
    for stage in network.stages:
        for _ in range(min(stage.depth, MAX_SLABS)):
            for fact, opacity in (("hidden", 0.35), ("dim", 1.0)):
                height = 34 * math.sqrt((stage.number(fact) or 0) / highest)
                pieces.append(_rect(x, 18 - height / 2, 7, height, opacity))
            x += 9
        x += 5
    return (
        f'<svg class="thumbnail" viewBox="0 0 {x:.0f} 36" width="{x:.0f}" height="36" role="img">'
        f"<title>{escape(spoken(network))}</title>{''.join(pieces)}</svg>"
    )


def _rect(x: float, y: float, width: float, height: float, opacity: float = 1.0) -> str:
    size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="slab" {size} rx="1.5" fill="{_ACCENT}" fill-opacity="{opacity:g}"/>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="currentColor" {style}>{escape(text)}</text>'


def _svg_end(pieces: list[str], y: float, name: str, detail: str) -> float:
    """Draw a step without slabs: a bar and its name; return where the next begins."""
    pieces.append(f'<rect x="15" y="{y:.1f}" width="100" height="22" rx="11" fill="currentColor" fill-opacity="0.12"/>')
    pieces.append(_text(65, y + 16, name, 'text-anchor="middle" font-size="13"'))
    pieces.append(_text(190, y + 16, detail, 'opacity="0.75" font-size="14"'))
    return y + 22


def _svg_arrow(pieces: list[str], y: float, label: str) -> float:
    pieces.append(f'<path d="M65 {y + 3:.1f}v13m-4 -5l4 5l4 -5" fill="none" stroke="currentColor" opacity="0.55"/>')
    if label:
        pieces.append(_text(78, y + 15, label, 'opacity="0.65" font-size="12"'))
    return y + 20


def _svg_stage(pieces: list[str], y: float, stage: Section, widest: float, most_tokens: float) -> float:
    """Draw one stage: slabs, map of tokens and labels; return where the next begins."""
    shown = min(stage.depth, MAX_SLABS)
    size = cost(stage)
    lines = labels(stage) + ([size] if size else [])
    height = max(shown * 12.0 - 3, 20.0 * (len(lines) + 1) - 4, 44.0)
    dim = stage.number("dim") or 0
    width = max(6.0, 120 * dim / widest) if widest and dim else 60.0
    top = y + (height - (shown * 12 - 3)) / 2
    pieces += [_rect(65 - width / 2, top + 12 * i, width, 9) for i in range(shown)]
    if stage.depth > shown:
        pieces.append(_text(65, top - 3, f"{TIMES} {stage.depth}", 'text-anchor="middle" font-size="12"'))
    if most_tokens and (tokens := stage.number("tokens")):
        window = stage.number("window")
        cells = min(8, math.ceil(math.sqrt(tokens) / window)) if window else 1
        pieces.append(_token_map(157, y + height / 2, 44 * math.sqrt(tokens / most_tokens), cells))
    first = y + (height - 20 * (len(lines) + 1)) / 2 + 15
    pieces.append(_text(190, first, " · ".join([stage.name, *first_facts(stage)]), 'font-weight="600"'))
    for index, line in enumerate(lines, 1):
        muted = 'opacity="0.65" font-size="13"' if line == size else 'font-size="14"'
        pieces.append(_text(190, first + 20 * index, line, muted))
    return y + height


def _token_map(x: float, y: float, side: float, cells: int) -> str:
    """Draw the map of tokens around a centre, cut into its attention windows; its side shrinks as the map does."""
    left, top, step = x - side / 2, y - side / 2, side / cells
    lines = "".join(
        f"M{left + step * i:.1f} {top:.1f}v{side:.1f}M{left:.1f} {top + step * i:.1f}h{side:.1f}"
        for i in range(cells + 1)
    )
    return f'<path d="{lines}" fill="none" stroke="currentColor" opacity="0.55"/>'


def _choice_list(architecture: Architecture) -> str:
    rows = (f"<dt>{escape(name)}</dt><dd>{escape(plain(v))}</dd>" for name, v in architecture.choices.items())
    return f'<dl class="choices">{"".join(rows)}</dl>'

"""One network drawn: as text for the terminal, as SVG for the page, and as a thumbnail for its tables."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from html import escape

from nas.report.anatomy import Anatomy, Section, anatomy
from nas.report.wording import TIMES, count, plain, plural, tokens_text
from searchspaces import Architecture

# Facts with a place of their own in the drawings; whatever else a space tells is listed as it is.
_KNOWN = ("tokens", "dim", "depth", "heads", "hidden", "window", "kernel")
_ACCENT = "#4a7fd6"  # legible on white and on near-black; the page may set another through the classes
_MAX_SLABS = 12


def terminal_drawing(architecture: Architecture) -> str:
    """Return a drawing in plain text: one line per stage, a block mark per block, a bar as long as the stage is wide.

    Spaces without stages give the list of their choices.
    """
    network = anatomy(architecture)
    lines = [_headline(network), ""]
    if not network.stages:
        width = max((len(name) for name in architecture.choices), default=0)
        lines += [f"  {name:<{width}}  {plain(value)}" for name, value in architecture.choices.items()]
        return "\n".join(lines)
    widest = max((stage.number("dim") or 0 for stage in network.stages), default=0)
    rows: list[list[str] | str] = [["", "tokens", "dim", "heads", "MLP", "window", "params", "MACs", "blocks"]]
    rows.append(["input", network.input])
    for section, entering in _with_arrows(network):
        rows.append(f"  │ {entering}".rstrip())
        if not section.facts:
            rows.append(_plain_row(section))
            continue
        rows.append(_stage_row(section, widest))
        rows += [f"  ┊ {text}" for text in _other_facts(section)]
    rows.append("  │")
    rows.append(["output", f"{architecture.num_classes:,} classes"])
    return "\n".join(lines + _aligned(rows))


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
    for section, entering in _with_arrows(network):
        y = _svg_arrow(pieces, y, entering)
        if section.facts:
            y = _svg_stage(pieces, y, section, widest, most_tokens)
        else:
            y = _svg_end(pieces, y, section.name, _cost(section))
    y = _svg_arrow(pieces, y, "")
    y = _svg_end(pieces, y, "output", f"{architecture.num_classes:,} classes")
    return (
        f'<svg class="network" viewBox="0 0 520 {y + 6:.0f}" role="img" font-family="inherit" font-size="15">'
        f"<title>{escape(_spoken(network))}</title>{''.join(pieces)}</svg>"
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
        for _ in range(min(stage.depth, _MAX_SLABS)):
            for fact, opacity in (("hidden", 0.35), ("dim", 1.0)):
                height = 34 * math.sqrt((stage.number(fact) or 0) / highest)
                pieces.append(_rect(x, 18 - height / 2, 7, height, opacity))
            x += 9
        x += 5
    return (
        f'<svg class="thumbnail" viewBox="0 0 {x:.0f} 36" width="{x:.0f}" height="36" role="img">'
        f"<title>{escape(_spoken(network))}</title>{''.join(pieces)}</svg>"
    )


def _with_arrows(network: Anatomy) -> list[tuple[Section, str]]:
    """Return every stretch with the label of the arrow into it; the first stage's kernel is that of the stem."""
    sections = [*network.before, *network.stages, *network.after]
    labels = [_entering(section) for section in sections]
    if network.before:
        labels[0], labels[len(network.before)] = labels[len(network.before)], ""
    return list(zip(sections, labels, strict=True))


# --- words ------------------------------------------------------------------------------------------------------


def _headline(network: Anatomy) -> str:
    parts = [network.architecture.space, network.notation, f"input {network.input}"]
    if network.params is not None and network.macs is not None:
        parts += [f"{count(network.params)} parameters", f"{count(network.macs)} MACs"]
    return "  ·  ".join(part for part in parts if part)


def _spoken(network: Anatomy) -> str:
    """Return the drawing in one sentence, for those who cannot see it."""
    stages = "; ".join(f"{s.name}: {', '.join([*_first_facts(s), *_labels(s)])}" for s in network.stages)
    return f"{_headline(network)}. {stages}"


def _first_facts(stage: Section) -> list[str]:
    facts = []
    if "depth" in stage.facts:
        facts.append(plural(stage.depth, "block"))
    if "dim" in stage.facts:
        facts.append(f"dim {plain(stage.facts['dim'])}")
    return facts


def _labels(stage: Section) -> list[str]:
    """Return the lines beside the slabs of a stage: what it does to the map, then what its blocks are made of."""
    facts = stage.facts
    field, block = [], []
    if "tokens" in facts:
        field.append(f"{tokens_text(facts['tokens'])} tokens")
    if "window" in facts:
        field.append(f"window {_square(facts['window'])}")
    if "heads" in facts:
        block.append(f"{plain(facts['heads'])} heads" if facts["heads"] != 1 else "1 head")
    if "hidden" in facts:
        block.append(f"MLP {plain(facts['hidden'])}")
    lines = [" · ".join(field), " · ".join(block), *textwrap.wrap(" · ".join(_other_facts(stage)), 44)]
    return [line for line in lines if line]


def _other_facts(stage: Section) -> list[str]:
    return [f"{name} {plain(value)}" for name, value in stage.facts.items() if name not in _KNOWN]


def _entering(stage: Section) -> str:
    return f"kernel {_square(stage.facts['kernel'])}" if "kernel" in stage.facts else ""


def _square(side: object) -> str:
    return f"{side}{TIMES}{side}" if isinstance(side, int) else plain(side)


def _cost(section: Section) -> str:
    if section.params is None or section.macs is None:
        return ""
    return f"{count(section.params)} params, {count(section.macs)} MACs"


# --- text -------------------------------------------------------------------------------------------------------


def _plain_row(section: Section) -> list[str]:
    cost = ["", ""]
    if section.params is not None and section.macs is not None:
        cost = [count(section.params), count(section.macs)]
    return [section.name, "", "", "", "", "", *cost]


def _stage_row(stage: Section, widest: float) -> list[str]:
    facts = stage.facts
    dim = stage.number("dim") or 0
    slab = "▄" * max(1, round(8 * dim / widest)) if widest and dim else "▄"
    shown = min(stage.depth, _MAX_SLABS)
    blocks = " ".join([slab] * shown) if shown * (len(slab) + 1) <= 36 else f"{slab} {TIMES} {stage.depth}"
    cells = _plain_row(stage)
    cells[1] = tokens_text(facts["tokens"]) if "tokens" in facts else ""
    for place, name in ((2, "dim"), (3, "heads"), (4, "hidden")):
        cells[place] = plain(facts[name]) if name in facts else ""
    cells[5] = _square(facts["window"]) if "window" in facts else ""
    return [*cells, f"{stage.depth:>2}  {blocks}"]


def _aligned(rows: Sequence[list[str] | str]) -> list[str]:
    """Return the lines of a table: numbers to the right, texts between its rows as they are."""
    tabled = [row for row in rows if isinstance(row, list)]
    widths = [max(len(row[i]) for row in tabled if i < len(row)) for i in range(9)]
    keep = [i for i, width in enumerate(widths) if i in (0, 8) or any(i < len(r) and r[i] for r in tabled[1:])]
    lines = []
    for row in rows:
        if isinstance(row, str):
            lines.append(row)
            continue
        cells = [row[i] if i < len(row) else "" for i in range(9)]
        aligned = [f"{cells[i]:<{widths[i]}}" if i in (0, 8) else f"{cells[i]:>{widths[i]}}" for i in keep]
        lines.append("  ".join(aligned).rstrip())
    return lines


# --- SVG --------------------------------------------------------------------------------------------------------


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
    shown = min(stage.depth, _MAX_SLABS)
    lines = _labels(stage) + ([cost] if (cost := _cost(stage)) else [])
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
    pieces.append(_text(190, first, " · ".join([stage.name, *_first_facts(stage)]), 'font-weight="600"'))
    for index, line in enumerate(lines, 1):
        muted = 'opacity="0.65" font-size="13"' if line == cost else 'font-size="14"'
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

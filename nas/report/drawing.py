"""One network drawn as text, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from nas.report.anatomy import Section, anatomy
from nas.report.labels import MAX_SLABS, headline, other_facts, square, with_arrows
from nas.report.wording import TIMES, count, plain, tokens_text
from searchspaces import Architecture


def terminal_drawing(architecture: Architecture) -> str:
    """Return a drawing in plain text: one line per stage, a block mark per block, a bar as long as the stage is wide.

    Spaces without stages give the list of their choices.
    """
    network = anatomy(architecture)
    lines = [headline(network), ""]
    if not network.stages:
        width = max((len(name) for name in architecture.choices), default=0)
        lines += [f"  {name:<{width}}  {plain(value)}" for name, value in architecture.choices.items()]
        return "\n".join(lines)
    widest = max((stage.number("dim") or 0 for stage in network.stages), default=0)
    rows: list[list[str] | str] = [["", "tokens", "dim", "heads", "MLP", "window", "params", "MACs", "blocks"]]
    rows.append(["input", network.input])
    for section, entering in with_arrows(network):
        rows.append(f"  │ {entering}".rstrip())
        if not section.facts:
            rows.append(_plain_row(section))
            continue
        rows.append(_stage_row(section, widest))
        rows += [f"  ┊ {text}" for text in other_facts(section)]
    rows.append("  │")
    rows.append(["output", f"{architecture.num_classes:,} classes"])
    return "\n".join(lines + _aligned(rows))


def _plain_row(section: Section) -> list[str]:
    cost = ["", ""]
    if section.params is not None and section.macs is not None:
        cost = [count(section.params), count(section.macs)]
    return [section.name, "", "", "", "", "", *cost]


def _stage_row(stage: Section, widest: float) -> list[str]:
    facts = stage.facts
    dim = stage.number("dim") or 0
    slab = "▄" * max(1, round(8 * dim / widest)) if widest and dim else "▄"
    shown = min(stage.depth, MAX_SLABS)
    blocks = " ".join([slab] * shown) if shown * (len(slab) + 1) <= 36 else f"{slab} {TIMES} {stage.depth}"
    cells = _plain_row(stage)
    cells[1] = tokens_text(facts["tokens"]) if "tokens" in facts else ""
    for place, name in ((2, "dim"), (3, "heads"), (4, "hidden")):
        cells[place] = plain(facts[name]) if name in facts else ""
    cells[5] = square(facts["window"]) if "window" in facts else ""
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

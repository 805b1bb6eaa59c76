"""What the drawings of a network say in words."""

from __future__ import annotations

import textwrap

from nas.report.anatomy import Anatomy, Section
from nas.report.wording import TIMES, count, plain, plural, tokens_text

# Facts with a place of their own in the drawings; whatever else a space tells is listed as it is.
_KNOWN = ("tokens", "dim", "depth", "heads", "hidden", "window", "kernel")
MAX_SLABS = 12  # blocks of a stage that are drawn; more would be a wall


def with_arrows(network: Anatomy) -> list[tuple[Section, str]]:
    """Return every stretch with the label of the arrow into it; the first stage's kernel is that of the stem."""
    sections = [*network.before, *network.stages, *network.after]
    labels = [entering(section) for section in sections]
    if network.before:
        labels[0], labels[len(network.before)] = labels[len(network.before)], ""
    return list(zip(sections, labels, strict=True))


def headline(network: Anatomy) -> str:
    """Return the network in one line: space, notation, input and size."""
    parts = [network.architecture.space, network.notation, f"input {network.input}"]
    if network.params is not None and network.macs is not None:
        parts += [f"{count(network.params)} parameters", f"{count(network.macs)} MACs"]
    return "  ·  ".join(part for part in parts if part)


def spoken(network: Anatomy) -> str:
    """Return the drawing in one sentence, for those who cannot see it."""
    stages = "; ".join(f"{s.name}: {', '.join([*first_facts(s), *labels(s)])}" for s in network.stages)
    return f"{headline(network)}. {stages}"


def first_facts(stage: Section) -> list[str]:
    """Return depth and dim in words."""
    facts = []
    if "depth" in stage.facts:
        facts.append(plural(stage.depth, "block"))
    if "dim" in stage.facts:
        facts.append(f"dim {plain(stage.facts['dim'])}")
    return facts


def labels(stage: Section) -> list[str]:
    """Return the lines beside the slabs of a stage: what it does to the map, then what its blocks are made of."""
    facts = stage.facts
    field, block = [], []
    if "tokens" in facts:
        field.append(f"{tokens_text(facts['tokens'])} tokens")
    if "window" in facts:
        field.append(f"window {square(facts['window'])}")
    if "heads" in facts:
        block.append(f"{plain(facts['heads'])} heads" if facts["heads"] != 1 else "1 head")
    if "hidden" in facts:
        block.append(f"MLP {plain(facts['hidden'])}")
    lines = [" · ".join(field), " · ".join(block), *textwrap.wrap(" · ".join(other_facts(stage)), 44)]
    return [line for line in lines if line]


def other_facts(stage: Section) -> list[str]:
    """Return what only this space tells of its stages."""
    return [f"{name} {plain(value)}" for name, value in stage.facts.items() if name not in _KNOWN]


def entering(stage: Section) -> str:
    """Return the label of the step into a stage; empty where it has none."""
    return f"kernel {square(stage.facts['kernel'])}" if "kernel" in stage.facts else ""


def square(side: object) -> str:
    """Return a side as the square it spans."""
    return f"{side}{TIMES}{side}" if isinstance(side, int) else plain(side)


def cost(section: Section) -> str:
    """Return the cost of a stretch in words; empty where it is not known."""
    if section.params is None or section.macs is None:
        return ""
    return f"{count(section.params)} params, {count(section.macs)} MACs"

"""Drawings: complete, to scale, and safe to put into a page."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from hardware import network_cost
from nas.report.anatomy import anatomy
from nas.report.drawing import terminal_drawing
from nas.report.svg import svg_drawing, svg_thumbnail
from searchspaces import SearchSpace, get_space, spaces

ASVIT = get_space("asvit")
LARGE = ASVIT.published()["asvit_large"]


def test_sections_add_up_to_the_network() -> None:
    """No part is forgotten or counted twice."""
    network = anatomy(LARGE)
    sections = [*network.before, *network.stages, *network.after]
    cost = network_cost(LARGE)
    assert [section.name for section in sections] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    assert sum(section.params or 0 for section in sections) == cost.params == network.params
    assert sum(section.macs or 0 for section in sections) == cost.macs == network.macs


def test_terminal_drawing_has_every_size_and_fits() -> None:
    """All facts of the stages are there, in lines that fit a usual window."""
    text = terminal_drawing(LARGE)
    assert "8,2,3,5|4,1,2,2|4,1,4,5|4,1,6,2|32,180" in text
    for number, stage in enumerate(ASVIT.stages(LARGE), 1):
        line = next(line for line in text.splitlines() if line.startswith(f"stage {number}"))
        for key in ("dim", "heads", "hidden", "window", "depth"):
            assert re.search(rf"\b{stage[key]}\b", line)
    assert "kernel 8" in text.splitlines()[4], "the first kernel is the stem's"
    assert max(len(line) for line in text.splitlines()) <= 120
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_stage_has_one_slab_per_block_as_wide_as_its_dim() -> None:
    """The picture is to scale."""
    tree = ElementTree.fromstring(svg_drawing(LARGE))
    widths = [float(rect.get("width", "")) for rect in tree.iter("rect") if rect.get("class") == "slab"]
    stages = ASVIT.stages(LARGE)
    assert len(widths) == sum(stage["depth"] for stage in stages)
    assert widths[0] / widths[-1] == pytest.approx(stages[0]["dim"] / stages[-1]["dim"], rel=0.01)
    assert tree[0].tag == "title"
    assert "stage 3: 5 blocks, dim 720" in str(tree[0].text)


def test_deep_stages_are_cut_short_and_say_so() -> None:
    """Sixty slabs would be a wall."""
    deep = LARGE.replace(choices={"stage3.depth": 60})
    tree = ElementTree.fromstring(svg_drawing(deep))
    assert len([rect for rect in tree.iter("rect") if rect.get("class") == "slab"]) < 30
    assert "60" in terminal_drawing(deep)
    assert re.search(r"60</text>", svg_drawing(deep))


@pytest.mark.parametrize("name", sorted(spaces.names()))
def test_every_space_can_be_drawn(name: str) -> None:
    """Also spaces that describe no stages, and the smallest and largest networks of each."""
    space = get_space(name)
    rng = np.random.default_rng(0)
    low, high = space.image_sizes
    size = {"image_size": 224 if low <= 224 <= high else low}
    for architecture in (space.smallest(**size), space.largest(**size), space.sample(rng, **size)):
        assert name in terminal_drawing(architecture)
        ElementTree.fromstring(svg_drawing(architecture))
        if space.stages(architecture):
            ElementTree.fromstring(svg_thumbnail(architecture))


def test_unknown_facts_are_listed_and_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A space may tell more than the drawing knows, lists included."""
    facts = [{"tokens": 197, "dim": [192, 256], "depth": 2, "mixer": "<conv> & pool", "ratios": [4, 3.5]}]
    monkeypatch.setattr(type(ASVIT), "stages", lambda self, architecture: facts)
    monkeypatch.setattr(type(ASVIT), "parts", SearchSpace.parts)
    text, svg = terminal_drawing(LARGE), svg_drawing(LARGE)
    assert "mixer <conv> & pool" in text
    assert "ratios 4,3.5" in text
    assert "mixer &lt;conv&gt; &amp; pool · ratios 4,3.5" in svg
    assert "197 tokens" in svg
    ElementTree.fromstring(svg)


def test_a_space_without_stages_lists_its_choices() -> None:
    """The toy space has none."""
    architecture = get_space("toy").smallest(image_size=8)
    assert re.search(r"layer2\.present\s+no", terminal_drawing(architecture))
    assert "<dt>layer2.present</dt><dd>no</dd>" in svg_drawing(architecture)
    assert svg_thumbnail(architecture) == ""


def test_importing_the_report_is_light() -> None:
    """`nas --help` and a search that writes no report pay nothing."""
    code = "import sys, nas.report; print([m for m in ('torch', 'matplotlib', 'optuna') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

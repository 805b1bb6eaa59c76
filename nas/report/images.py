"""From a matplotlib figure to PNG bytes for the folder, and to SVG that lives inside a page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Ink of text and axes. In the page it becomes the colour of the text around the plot, so that dark mode works.
INK = "#20262e"
STYLE: Any = {
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "grid.color": "#8a94a3",
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "svg.hashsalt": "nas",  # the same data gives the same bytes
    "text.parse_math": False,  # names of dimensions are names, never formulas
}


@contextmanager
def plot_style() -> Iterator[None]:
    """Draw with the style of the reports, and leave the settings of the caller alone."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG on white."""
    buffer = io.BytesIO()
    with plot_style():
        figure.savefig(buffer, format="png", dpi=150, facecolor="white")
    return buffer.getvalue()


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """Return the figure as an element of an HTML page.

    Args:
        name: prefix that keeps the ids of several plots in one page apart.
        label: what the plot shows, for those who cannot see it; plain text.
    """
    from html import escape

    buffer = io.StringIO()
    with plot_style():
        figure.savefig(buffer, format="svg", transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # A style sheet in an inline SVG would rule the whole page; template.html has these two lines for plots alone.
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = svg.replace('xlink:href="#', f'href="#{name}-')
    svg = svg.replace(INK, "currentColor")
    view = re.search(r'viewBox="[^"]*"', svg)
    opening = f'<svg class="plot" {view[0] if view else ""} role="img"><title>{escape(label)}</title>'
    return opening + svg[svg.index(">") + 1 :].strip()

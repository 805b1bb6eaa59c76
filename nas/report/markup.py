"""Small pieces of HTML. Every text that goes in is escaped here; only what is named `inner` is taken as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that is HTML already."""


def markup(value: object) -> Markup:
    """Return a value as HTML: escaped, unless it is `Markup`."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def element(tag: str, *inner: object, **attributes: str) -> Markup:
    """Return an element; `class_` stands for the attribute ``class``."""
    written = "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items())
    return Markup(f"<{tag}{written}>{''.join(markup(piece) for piece in inner)}</{tag}>")


def section(heading: str, *inner: object) -> Markup:
    """Return a section of the page under a heading."""
    return element("section", element("h2", heading), *inner)


def paragraph(*inner: object, note: bool = False) -> Markup:
    """Return a paragraph; a note is set smaller."""
    return element("p", *inner, class_="note") if note else element("p", *inner)


def warning(*inner: object) -> Markup:
    """Return a paragraph that stands out."""
    return element("p", *inner, class_="warning")


def plot(svg: Markup) -> Markup:
    """Return a plot on its own line."""
    return element("figure", svg)


def code(text: str) -> Markup:
    """Return a piece of code inside a line."""
    return element("code", text)


def command(text: str) -> Markup:
    """Return a command line to copy."""
    return element("pre", element("code", text), class_="command")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], numeric: Iterable[int] = ()) -> Markup:
    """Return a table that scrolls sideways where it is too wide.

    Args:
        numeric: indices of columns set to the right.
    """
    right = set(numeric)

    def cell(tag: str, index: int, value: object) -> Markup:
        scope = {"scope": "col"} if tag == "th" else {}
        return element(tag, value, **scope, **({"class_": "number"} if index in right else {}))

    head = element("tr", *(cell("th", i, column) for i, column in enumerate(columns)))
    body = [element("tr", *(cell("td", i, value) for i, value in enumerate(row))) for row in rows]
    inner = element("table", element("thead", head), element("tbody", *body))
    return element("div", inner, class_="wide", tabindex="0")


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Return a list of names with values."""
    inner = [piece for name, value in pairs for piece in (element("dt", name), element("dd", value))]
    return element("dl", *inner, class_="facts")


def folded(summary: object, *inner: object) -> Markup:
    """Return something a reader can unfold."""
    return element("details", element("summary", summary), *inner)

"""What the commands share: results to stdout, everything else to stderr, architectures from files or names."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hardware import Network
    from searchspaces import Architecture

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_json(value: object) -> None:
    """Print one JSON document on one line of stdout."""
    print(json.dumps(value, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table to stdout; numbers to the right."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    cells = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = all(row[index] == "" or isinstance(row[index], int | float) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(escape(format_value(value)) for value in row))  # "[tvm]" is text, not markup
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a file or a pipe has no width; do not fold at 80
    console.print(table)


def format_value(value: object) -> str:
    """Return a value for people: large whole numbers grouped, others to five digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if float(value).is_integer() and abs(value) >= 1000:
        return f"{int(value):,}"
    return f"{value:.5g}"


def say(text: str) -> None:
    """Print a line for people to stderr."""
    print(text, file=sys.stderr, flush=True)


def warnings_as_sentences() -> None:
    """Show the project's warnings as one line on stderr, and hide those of libraries."""
    warnings.filterwarnings("ignore")
    warnings.filterwarnings("default", category=UserWarning, module=r"(nas|searchspaces|evaluators|hardware)(\.|$)")

    def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
        say(f"warning: {message}")

    warnings.showwarning = show


def read_architecture(text: str) -> Architecture:
    """Return the architecture in a file, of a published name such as ``asvit_small``, or of a short notation.

    Raises:
        NasError: if it is none of these.
    """
    from searchspaces import Architecture, NasError, get_space, spaces, unknown_name

    if Path(text).exists():
        return Architecture.read(text)
    published = {name: network for space in spaces.names() for name, network in get_space(space).published().items()}
    if text in published:
        return published[text]
    if "|" in text:
        return _from_notation(text)
    if text.endswith(".json") or "/" in text:
        raise NasError(f"{text}: no such file")
    raise unknown_name("file or published network", text, published)


def read_network(text: str, image_size: int | None = None) -> Network:
    """Return what `read_architecture` does, or the network of timm that ``timm:NAME`` names.

    Args:
        image_size: side of the input, None for the network's own.

    Raises:
        NasError: if it is none of these, or takes no image of that size.
    """
    from hardware.network import TIMM_PREFIX, timm_network

    if text.startswith(TIMM_PREFIX):
        return timm_network(text, image_size)
    architecture = read_architecture(text)
    return architecture if image_size is None else architecture.replace(image_size=image_size)


def _from_notation(text: str) -> Architecture:
    """Return the network of the first space whose short notation the text is; the error of As-ViT's where none is."""
    from searchspaces import NasError, get_space, spaces

    for name in spaces.names():
        with suppress(NasError):
            return get_space(name).from_notation(text)
    return get_space("asvit").from_notation(text)

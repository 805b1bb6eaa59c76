"""``report.html``: one page per run that opens offline, and the same plots as PNG files."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from searchspaces import NasError, write_bytes, write_text

if TYPE_CHECKING:
    from nas.rundir import RunDirectory


@dataclass(frozen=True)
class ReportFiles:
    """Where a report lies."""

    report: Path
    plots: list[Path]


def write_report(run: RunDirectory) -> Path:
    """Write ``report.html`` and ``plots/*.png`` into a run directory and return the path of the page.

    Works for runs that were interrupted or found nothing. About 10 s for 500 trials on one slow core, most of it
    spent loading torch and matplotlib.

    Raises:
        NasError: if the run cannot be read or the folder cannot be written; every file is whole or as it was.
    """
    return write_report_files(run).report


def write_report_files(run: RunDirectory) -> ReportFiles:
    """Write as `write_report` does and return every path."""
    from nas.report.contents import read_contents
    from nas.report.figures import draw_figures
    from nas.report.images import inline_svg, png
    from nas.report.markup import Markup
    from nas.report.sections import page_sections

    contents = read_contents(run)
    figures = draw_figures(contents)
    plots = {name: Markup(inline_svg(figure, name, label)) for name, (figure, label) in figures.items()}
    title, sections = page_sections(contents, plots)
    template = resources.files("nas.report").joinpath("template.html").read_text(encoding="utf-8")
    page = Template(template).substitute(title=escape(title), sections="\n".join(sections))
    pictures = {f"{name}.png": png(figure) for name, (figure, _) in figures.items()}

    # Only now is anything written: a mistake above leaves an earlier report as it was.
    folder = run.path / "plots"
    if pictures:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise NasError(f"{folder}: cannot be made: {error.strerror}") from error
    for name, content in pictures.items():
        write_bytes(folder / name, content)
    write_text(run.path / "report.html", page)
    return ReportFiles(run.path / "report.html", [folder / name for name in pictures])

"""`nas report`: the page and the plots of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import AsJson, print_json


def report(
    run: Annotated[Path, typer.Argument(help="Run directory, finished or not.")],
    as_json: AsJson = False,
) -> None:
    """Write RUN/report.html, which opens offline, and RUN/plots/*.png."""
    from nas.report import write_report_files
    from nas.rundir import RunDirectory

    files = write_report_files(RunDirectory.open(run))
    if as_json:
        print_json({"report": str(files.report), "plots": [str(path) for path in files.plots]})
        return
    for path in (files.report, *files.plots):
        print(path)

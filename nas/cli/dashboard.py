"""`nas dashboard`: the journal of a run in Optuna's dashboard."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import say


def dashboard(
    run: Annotated[Path, typer.Argument(help="Run directory, finished or not.")],
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Of this machine, on 127.0.0.1 only.")] = 8080,
) -> None:
    """Show a run in the Optuna dashboard, until Ctrl-C; nobody else can reach it."""
    from nas.rundir import RunDirectory
    from searchspaces import NasError

    directory = RunDirectory.open(run)
    if find_spec("optuna_dashboard") is None:
        raise NasError("the Optuna dashboard is not installed; install it with: pip install 'nas[dashboard]'")
    if not directory.journal_path.exists():
        raise NasError(f"{run} has no trials yet")
    from optuna_dashboard import run_server

    say(f"http://127.0.0.1:{port}/dashboard  (Ctrl-C ends it)")
    try:
        run_server(directory.journal.reader(), host="127.0.0.1", port=port)
    except OSError as error:
        raise NasError(f"port={port} cannot be used: {error.strerror or error}; give another --port") from error

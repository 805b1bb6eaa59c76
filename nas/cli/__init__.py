"""The command line. Heavy modules are imported inside the commands, so that `nas --help` answers at once."""

from __future__ import annotations

import os
import sys

import typer

from nas.cli.dashboard import dashboard
from nas.cli.describe import describe
from nas.cli.listing import metrics, spaces, strategies
from nas.cli.measure import measure
from nas.cli.predict import predict
from nas.cli.profile import profile
from nas.cli.report import report
from nas.cli.sample import sample
from nas.cli.score import score
from nas.cli.search import resume, search
from nas.cli.status import status
from nas.cli.targets import targets
from nas.cli.train import train
from nas.cli.tune import tune
from searchspaces.errors import NasError

app = typer.Typer(
    help="Neural architecture search for vision transformers: search, train, score and look at networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich for the help alone would cost a third of its time
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS = (
    search,
    resume,
    status,
    dashboard,
    train,
    tune,
    score,
    describe,
    sample,
    spaces,
    metrics,
    strategies,
    report,
)
_DEVICES = (targets, predict, measure, profile)
for command in (*_COMMANDS, *_DEVICES):
    app.command()(command)


def version(value: bool) -> None:
    """Print the version and leave."""
    if value:
        from nas import __version__

        typer.echo(f"nas {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: bool = typer.Option(False, "--version", callback=version, is_eager=True, help="Show the version."),
) -> None:
    """Options before the command."""


def main() -> None:
    """Run the command line: a mistake of the user's is one sentence on stderr and exit status 2."""
    try:
        app()
    except NasError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)

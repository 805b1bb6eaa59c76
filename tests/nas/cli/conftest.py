"""A command line, as a person types it."""

import sys

import pytest

from nas.cli import main


@pytest.fixture
def nas(monkeypatch, capsys, tmp_path):
    """Return a function that runs a command line in an empty folder: (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(line, *more):
        monkeypatch.setattr(sys, "argv", ["nas", *line.split(), *more])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
        return status, *capsys.readouterr()

    return run

"""`nas train` as a person and a script see it."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from evaluators.training import trainer
from nas.cli.train import default_directory, train
from searchspaces import NasError, get_space

FLAGS = ["--epochs", "1", "--batch-size", "512", "--set", "warmup_epochs=0", "--set", "threads=1"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "best.json"
    get_space("asvit").smallest().replace(choices={"width": 4}).write(path)
    return path


def run(*arguments):
    app = typer.Typer()
    app.command()(train)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_json_has_the_result_and_the_run_lies_beside_the_file(file):
    ended = run(file, *FLAGS, "--json")
    assert ended.exit_code == 0, ended.output
    result = json.loads(ended.stdout)
    assert 0 <= result["test_accuracy"] <= 1
    assert result["epochs"] == 1
    directory = file.parent / "train-best-digits-seed0"
    assert {Path(result[key]).parent for key in ("weights", "architecture", "metrics")} == {directory}
    assert "epoch 1/1: loss" in ended.stderr


def test_people_see_percent_and_a_second_run_needs_resume(file, tmp_path):
    out = tmp_path / "out"
    assert "%" in run(file, *FLAGS, "--out", out).stdout
    again = run(file, *FLAGS, "--out", out)
    assert isinstance(again.exception, NasError)
    assert "--resume" in str(again.exception)
    assert run(file, *FLAGS, "--out", out, "--resume").exit_code == 0


def test_ctrl_c_says_how_to_go_on(file, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "train_epoch", interrupted)
    ended = run(file, *FLAGS)
    assert ended.exit_code == 130
    assert "--resume" in ended.stderr


def test_an_unknown_recipe_key_lists_close_ones(file):
    ended = run(file, "--set", "mixpu=0.2")
    assert isinstance(ended.exception, NasError)
    assert "did you mean 'mixup'" in str(ended.exception)


@pytest.mark.parametrize(
    ("file", "data", "directory"),
    [
        ("runs/a/best.json", "digits", "runs/a/train-best-digits-seed3"),
        ("asvit_small", "torch/cifar10", "train-asvit_small-torch-cifar10-seed3"),
        ("8,2,3|4,1,2|4,1,4|4,1,6|32", "digits", "train-8-2-3-4-1-2-4-1-4-4-1-6-32-digits-seed3"),
    ],
)
def test_the_default_directory_is_beside_the_file(file, data, directory):
    assert default_directory(Path(file), data, 3) == Path(directory)

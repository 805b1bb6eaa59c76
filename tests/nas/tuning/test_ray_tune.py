"""Trainings as trials of Ray Tune: the same values, early stopping, and a driver that is killed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import ray

from evaluators import get_metric
from evaluators.training.run_directory import read_history
from nas.executors import Evaluation, ExecutorOptions, make_executor, ray_cluster
from nas.tuning.run import TuningRun
from searchspaces import get_space

pytestmark = pytest.mark.slow
RECIPE = {"batch_size": 512, "checkpoint_seconds": 0.0, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def local_ray():
    ray_cluster.connect(ExecutorOptions(), 2)
    yield
    ray.shutdown()


def networks(count):
    space, rng = get_space("toy"), np.random.default_rng(0)
    return [space.sample(rng, image_size=32, in_channels=1, num_classes=10) for _ in range(count)]


def measure(name, metric, architectures):
    with make_executor(name, 1 if name == "inline" else 2) as executor:
        return list(executor.map_trainings([Evaluation(metric, a, 0) for a in architectures]))


def test_trainings_on_ray_tune_have_the_values_of_any_other(local_ray, tmp_path):
    settings = {"epochs": 2, "recipe": RECIPE}
    expected = measure("inline", get_metric("accuracy", settings), networks(3))
    found = measure("ray", get_metric("accuracy", {**settings, "storage": str(tmp_path)}), networks(3))
    assert [(m.value, m.failure) for m in found] == [(m.value, m.failure) for m in expected]
    assert all(m.value is not None for m in found)
    assert len(list(tmp_path.iterdir())) == len(set(networks(3)))


def test_asha_ends_some_and_says_so(local_ray, tmp_path):
    settings = {"epochs": 3, "recipe": RECIPE, "storage": str(tmp_path), "stop_early": "asha"}
    found = measure("ray", get_metric("accuracy", settings), networks(6))
    ended = [m.failure for m in found if m.value is None]
    assert ended
    assert len(ended) < 6
    assert all("ended early by asha after" in reason for reason in ended)
    lengths = [len(read_history(folder)) for folder in tmp_path.iterdir()]
    assert max(lengths) == 3
    assert min(lengths) < 3


def test_what_goes_wrong_is_a_failure_with_its_reason(local_ray, tmp_path):
    settings = {"epochs": 1, "recipe": {**RECIPE, "image_size": 16}, "storage": str(tmp_path), "data": "nothing"}
    (found,) = measure("ray", get_metric("accuracy", settings), networks(1))
    assert found.value is None
    assert "nothing" in found.failure


def test_tuning_goes_on_after_a_kill(tmp_path):
    get_space("asvit").smallest().replace(choices={"width": 4}).write(tmp_path / "tiny.json")
    run = tmp_path / "run"
    flags = ["--trials", "3", "--epochs", "3", "--stop-early", "none", "--workers", "1", "--out", str(run), "--json"]
    flags += ["--set", "batch_size=256", "--set", "checkpoint_seconds=0.0"]
    process = start("tune", str(tmp_path / "tiny.json"), *flags)
    deadline = time.monotonic() + 180
    while not (run / "training").exists() or not any(read_history(f) for f in (run / "training").iterdir()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(TuningRun.open(run).unfinished()) == 1
    process = start("resume", str(run), "--workers", "1", "--json")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    found = json.loads(out)
    assert (found["trials"], found["failed"], found["state"]) == (3, 0, "finished")
    assert len(list((run / "training").iterdir())) == 3  # the one that was killed went on in its own folder
    assert not list(run.rglob("*.pkl"))


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "nas", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

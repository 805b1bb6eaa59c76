"""The trainer: adaptation, records, resuming to the same bits, and mistakes told in a sentence."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from evaluators.training import load_data, load_trained, recipe_for, train
from evaluators.training.loop import evaluate
from searchspaces import Architecture, NasError, get_space
from searchspaces.asvit import read_genotype

# fp32, since `auto` is bf16 on some processors.
SHORT = {
    "epochs": 4, "batch_size": 256, "warmup_epochs": 1, "checkpoint_seconds": 0.0, "threads": 1, "precision": "fp32",
}  # fmt: skip
MIXED = {"mixup": 0.8, "cutmix": 1.0, "drop_path": 0.2}
CHILD = """
import json, sys
from evaluators.training import recipe_for, train
from searchspaces import Architecture
file, out, overrides = sys.argv[1:]
train(Architecture.read(file), "digits", out, recipe_for("digits", json.loads(overrides)), resume=True)
"""


@pytest.fixture(scope="module")
def tiny():
    """An As-ViT of 35 thousand parameters, described for another data set."""
    return get_space("asvit").smallest().replace(choices={"width": 4, "stage4.depth": 2})


def short(**overrides):
    return recipe_for("digits", {**SHORT, **overrides})


class StopError(Exception):
    """Ends a run from its progress callback."""


def stop_at(epoch):
    def progress(record):
        if record["epoch"] == epoch:
            raise StopError

    return progress


def record_of(directory):
    metrics = json.loads((directory / "metrics.json").read_text())
    history = [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
    del metrics["seconds"]
    timeless = [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in history]
    return metrics, timeless


def assert_same_run(a, b):
    assert (a / "weights.safetensors").read_bytes() == (b / "weights.safetensors").read_bytes()
    assert record_of(a) == record_of(b)


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """An uninterrupted run that uses every source of randomness."""
    directory = tmp_path_factory.mktemp("runs") / "finished"
    return directory, train(tiny, "digits", directory, short(**MIXED))


def test_a_run_leaves_its_records(tiny, finished):
    directory, result = finished
    assert sorted(path.name for path in directory.iterdir()) == [
        "architecture.json",
        "history.jsonl",
        "metrics.json",
        "run.json",
        "weights.safetensors",
    ]
    metrics, history = record_of(directory)
    assert [line["epoch"] for line in history] == [1, 2, 3, 4]
    assert metrics["recipe"] == short(**MIXED).model_dump()
    assert {"torch", "timm", "nas"} <= set(metrics["versions"])
    assert metrics["test_accuracy"] == result.test_accuracy
    assert metrics["validation_accuracy"] == history[-1]["validation_accuracy"]
    written = Architecture.read(result.architecture)
    assert (written.image_size, written.in_channels, written.num_classes) == (32, 1, 10)
    assert dict(written.choices) == dict(tiny.choices)
    assert written.provenance["training"]["test_accuracy"] == result.test_accuracy


def test_the_written_weights_are_those_that_were_tested(finished):
    directory, result = finished
    model, architecture = load_trained(directory)
    data = load_data("digits")
    assert architecture.num_classes == 10
    assert evaluate(model, data.test, 256, torch.device("cpu"), "fp32") == result.test_accuracy
    assert sum(parameter.numel() for parameter in model.parameters()) == result.params


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_an_interrupted_run_ends_with_the_same_bits(tiny, finished, tmp_path, seconds):
    recipe = short(**MIXED, checkpoint_seconds=seconds)
    with pytest.raises(StopError):
        train(tiny, "digits", tmp_path / "run", recipe, progress=stop_at(2))
    torch.manual_seed(99)  # what the caller's generators did in between is of no effect
    np.random.seed(99)
    train(tiny, "digits", tmp_path / "run", short(**MIXED), resume=True)
    metrics, history = record_of(tmp_path / "run")
    assert (metrics["test_accuracy"], history) == (finished[1].test_accuracy, record_of(finished[0])[1])
    assert_same_run(tmp_path / "run", finished[0])


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is a POSIX signal")
def test_a_killed_process_resumes_to_the_same_bits(tiny, finished, tmp_path):
    tiny.write(tmp_path / "tiny.json")
    overrides = json.dumps({**SHORT, **MIXED})
    command = [sys.executable, "-c", CHILD, str(tmp_path / "tiny.json"), str(tmp_path / "run"), overrides]
    child = subprocess.Popen(command)
    state = tmp_path / "run" / "checkpoint" / "state.json"
    deadline = time.monotonic() + 120
    while not state.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it ended before it was killed"
    assert not (tmp_path / "run" / "metrics.json").exists()
    subprocess.run(command, check=True)
    assert_same_run(tmp_path / "run", finished[0])


def test_bf16_is_used_where_it_is_asked_for(tiny, tmp_path):
    recipe = short(epochs=1, warmup_epochs=0, precision="bf16")
    assert train(tiny, "digits", tmp_path, recipe).precision == "bf16"
    model, _ = load_trained(tmp_path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_callers_random_generators_are_left_alone(tiny, tmp_path):
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(2), np.random.rand(2)
    torch.manual_seed(3)
    np.random.seed(3)
    train(tiny, "digits", tmp_path / "run", short(epochs=1, warmup_epochs=0))
    assert torch.equal(torch.rand(2), expected[0])
    assert np.array_equal(np.random.rand(2), expected[1])


def test_resuming_a_finished_run_only_reports(tiny, finished):
    directory, result = finished
    before = (directory / "history.jsonl").stat().st_mtime_ns
    assert train(tiny, "digits", directory, short(**MIXED), resume=True) == result
    assert (directory / "history.jsonl").stat().st_mtime_ns == before


def test_a_run_that_is_there_is_not_overwritten(tiny, finished):
    with pytest.raises(NasError, match="holds a run already"):
        train(tiny, "digits", finished[0], short(**MIXED))


@pytest.mark.parametrize(
    ("overrides", "choices", "words"),
    [
        ({"epochs": 5}, {}, "recipe.epochs is 4 there and 5 here"),
        ({"seed": 1}, {}, "recipe.seed is 0 there and 1 here"),
        ({"precision": "bf16"}, {}, "precision is 'fp32' there and 'bf16' here"),
        ({"image_size": 36}, {}, "architecture.image_size is 32 there and 36 here"),
        ({}, {"heads": 32}, "architecture.choices.heads is 16 there and 32 here"),
    ],
)
def test_another_configuration_is_named(tiny, finished, overrides, choices, words):
    with pytest.raises(NasError, match=words):
        train(tiny.replace(choices=choices), "digits", finished[0], short(**MIXED, **overrides), resume=True)


def test_the_directory_of_something_else_is_not_touched(tiny, tmp_path):
    (tmp_path / "architecture.json").write_text("mine")
    with pytest.raises(NasError, match=r"architecture\.json that no training run left"):
        train(tiny, "digits", tmp_path, short())
    assert (tmp_path / "architecture.json").read_text() == "mine"


def test_a_place_that_cannot_be_a_directory_is_an_error(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NasError, match="cannot be made"):
        train(tiny, "digits", tmp_path / "file" / "run", short())


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tiny, tmp_path, monkeypatch):
    with pytest.raises(StopError):
        train(tiny, "digits", tmp_path, short(), progress=stop_at(2))
    state = (tmp_path / "checkpoint" / "state.json").read_text()
    nan = torch.tensor(float("nan"))
    monkeypatch.setattr("torch.nn.functional.log_softmax", lambda x, dim: x * nan)
    with pytest.raises(NasError, match=r"loss is not finite in epoch 3.*learning_rate"):
        train(tiny, "digits", tmp_path, short(), resume=True)
    assert (tmp_path / "checkpoint" / "state.json").read_text() == state


def test_a_checkpoint_of_another_network_is_an_error(tiny, tmp_path):
    for name, architecture in (("a", tiny), ("b", tiny.replace(choices={"width": 6}))):
        with pytest.raises(StopError):
            train(architecture, "digits", tmp_path / name, short(), progress=stop_at(1))
    for path in (tmp_path / "b" / "checkpoint").iterdir():
        path.replace(tmp_path / "a" / "checkpoint" / path.name)
    with pytest.raises(NasError, match="checkpoint does not fit"):
        train(tiny, "digits", tmp_path / "a", short(), resume=True)


@pytest.mark.parametrize(
    ("damage", "words"),
    [("cut", "cannot be read as safetensors"), ("other", "has the shape"), ("gone", "cannot be read")],
)
def test_weights_that_do_not_fit_are_refused(tiny, finished, tmp_path, damage, words):
    architecture = Architecture.read(finished[1].architecture)
    weights = (finished[0] / "weights.safetensors").read_bytes()
    if damage == "other":
        architecture = architecture.replace(choices={"width": 6})
    architecture.write(tmp_path / "architecture.json")
    if damage != "gone":
        (tmp_path / "weights.safetensors").write_bytes(weights[: -100 if damage == "cut" else None])
    with pytest.raises(NasError, match=words):
        load_trained(tmp_path)


def test_pictures_of_a_folder_are_learnt(tiny, tmp_path):
    rng = np.random.default_rng(0)
    for number, name in enumerate(("red", "green", "blue")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(20):
            pixels = rng.integers(0, 80, (32, 32, 3), dtype=np.uint8)
            pixels[..., number] += 150
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{index}.png")
    plain = {
        "auto_augment": "",
        "mixup": 0.0,
        "cutmix": 0.0,
        "random_erasing": 0.0,
        "crop_scale": 0.5,
        "ema_decay": 0.0,
    }
    schedule = {"epochs": 12, "batch_size": 14, "learning_rate": 3e-3, "scale_learning_rate": False, "threads": 1}
    recipe = recipe_for("pets", {**plain, **schedule, "warmup_epochs": 1})
    result = train(tiny, "pets", tmp_path / "run", recipe, data_dir=str(tmp_path / "pets"))
    assert result.test_accuracy == 1.0
    assert result.weights_from == "raw"
    _, architecture = load_trained(tmp_path / "run")
    assert (architecture.in_channels, architecture.num_classes, architecture.image_size) == (3, 3, 32)


def test_a_few_epochs_learn_most_digits(tmp_path):
    seed_topology = get_space("asvit").architecture(read_genotype("8,2,3|4,1,2|4,1,4|4,1,6|16,8"))
    small = seed_topology.replace(choices={"width": 12})
    result = train(small, "digits", tmp_path, recipe_for("digits", {"epochs": 6, "warmup_epochs": 1, "threads": 1}))
    assert result.test_accuracy > 0.8


@pytest.mark.slow
def test_the_digits_recipe_reaches_97_percent(tmp_path):
    seed_topology = get_space("asvit").architecture(read_genotype("8,2,3|4,1,2|4,1,4|4,1,6|32"))
    result = train(seed_topology, "digits", tmp_path, recipe_for("digits", {"threads": 1}))
    assert result.test_accuracy >= 0.97

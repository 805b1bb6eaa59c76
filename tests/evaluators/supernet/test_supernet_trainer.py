"""Training a super-network: records, resuming at a step to the same bits, several processes, mistakes in a sentence."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from evaluators.supernet import cache_split, load_supernet, subnet_accuracy, supernet_recipe_for, train_supernet
from evaluators.supernet import trainer as trainer_module
from evaluators.training import load_data
from evaluators.training.splits import Share
from searchspaces import NasError, get_space

# fp32, since `auto` is bf16 on some processors.
SHORT = {
    "epochs": 3, "batch_size": 256, "choice_warmup_epochs": 1, "warmup_epochs": 1, "eval_every": 1, "eval_networks": 1,
    "ema_decay": 0.9, "drop_path": 0.1, "threads": 1, "checkpoint_seconds": 0.0, "eval_images": 60,
    "precision": "fp32",
}  # fmt: skip
CHILD = """
import json, sys
from evaluators.supernet import supernet_recipe_for, train_supernet
from searchspaces import Architecture
file, out, overrides = sys.argv[1:]
recipe = supernet_recipe_for("digits", json.loads(overrides))
train_supernet(Architecture.read(file), "digits", out, recipe, resume=True)
"""


@pytest.fixture(scope="module")
def tiny():
    """An As-ViT super-network of little work."""
    return get_space("asvit").largest(image_size=32).replace(choices={"width": 8, "stage4.depth": 2, "heads": 16})


def short(**changes):
    return supernet_recipe_for("digits", {**SHORT, **changes})


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    directory = tmp_path_factory.mktemp("supernets") / "finished"
    return directory, train_supernet(tiny, "digits", directory, short())


def weights(directory):
    return load_file(directory / "supernet.safetensors")


def history(directory):
    lines = [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines]


def assert_same(a, b):
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert history(a) == history(b)


def test_a_run_leaves_its_records(finished):
    directory, supernet = finished
    files = {path.name for path in directory.iterdir()}
    assert files == {"history.jsonl", "run.json", "supernet.json", "supernet.safetensors"}
    lines = history(directory)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert {"loss", "learning_rate", "accuracy_largest", "accuracy_smallest", "accuracy_drawn"} <= set(lines[-1])
    loaded = load_supernet(directory)
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), supernet.state_dict().values(), strict=True)
    )
    assert not loaded.training


def test_accuracies_are_those_of_extracted_networks(finished):
    _, supernet = finished
    data = cache_split(load_data("digits").validation)
    small = supernet.architecture.replace(choices={"stage1.expansion": 2, "stage4.depth": 1})
    found = subnet_accuracy(supernet, [supernet.architecture, small], data, batch_size=50)
    for architecture, accuracy in zip((supernet.architecture, small), found, strict=True):
        with torch.no_grad():
            right = supernet.extract(architecture)(data.images).argmax(1) == data.labels
        assert accuracy == right.sum().item() / len(data)


def test_shares_make_up_the_batch_and_early_batches_can_be_left_out():
    split = load_data("digits").train
    whole = list(split.train_batches(64, 0, 1))
    halves = [list(split.train_batches(32, 0, 1, share=Share(rank, 2))) for rank in (0, 1)]
    for (images, labels), *parts in zip(whole, *halves, strict=True):
        for rank, (mine, own) in enumerate(parts):
            assert torch.equal(mine, images[rank::2])
            assert torch.equal(own, labels[rank::2])
    later = list(split.train_batches(64, 0, 1, first=3))
    assert len(later) == len(whole) - 3
    assert torch.equal(later[0][0], whole[3][0])


class StopError(Exception):
    """Ends a run in the middle of an epoch."""


def test_a_run_stopped_inside_an_epoch_ends_with_the_same_bits(tiny, finished, tmp_path, monkeypatch):
    step, done = trainer_module.train_step, []

    def stopping(*arguments):
        step(*arguments)
        done.append(1)
        if len(done) == 6:  # an epoch has four steps
            raise StopError

    monkeypatch.setattr(trainer_module, "train_step", stopping)
    with pytest.raises(StopError):
        train_supernet(tiny, "digits", tmp_path / "run", short())
    state = json.loads((tmp_path / "run" / "checkpoint" / "state.json").read_text())
    assert (state["epoch"], state["step"]) == (1, 1)
    with pytest.raises(NasError, match="not trained to its end"):
        load_supernet(tmp_path / "run")
    monkeypatch.undo()
    train_supernet(tiny, "digits", tmp_path / "run", short(), resume=True)
    assert_same(tmp_path / "run", finished[0])


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is a POSIX signal")
def test_a_killed_process_resumes_to_the_same_bits(tiny, finished, tmp_path):
    tiny.write(tmp_path / "tiny.json")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "tiny.json"), str(tmp_path / "run"), json.dumps(SHORT)]
    child = subprocess.Popen(command)
    state = tmp_path / "run" / "checkpoint" / "state.json"
    deadline = time.monotonic() + 60
    while not state.exists() and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    train_supernet(tiny, "digits", tmp_path / "run", short(), resume=True)
    assert_same(tmp_path / "run", finished[0])


def test_mistakes_are_told(tiny, finished, tmp_path, monkeypatch):
    directory, _ = finished
    with pytest.raises(NasError, match="holds a run already"):
        train_supernet(tiny, "digits", directory, short())
    with pytest.raises(NasError, match=r"architecture\.choices\.width is 8 there and 16 here"):
        train_supernet(tiny.replace(choices={"width": 16}), "digits", directory, short(), resume=True)
    with pytest.raises(NasError, match=r"architecture\.space is 'asvit' there"):
        train_supernet("vit_resnas_digits", "digits", directory, short(), resume=True)
    with pytest.raises(NasError, match="holds no super-network"):
        load_supernet(tmp_path)
    copy = tmp_path / "cut"
    copy.mkdir()
    for name in ("supernet.json", "supernet.safetensors"):
        (copy / name).write_bytes((directory / name).read_bytes())
    (copy / "supernet.safetensors").write_bytes((directory / "supernet.safetensors").read_bytes()[:-9])
    with pytest.raises(NasError, match="cannot be read as safetensors"):
        load_supernet(copy)


@pytest.mark.slow
def test_two_processes_are_one_with_the_same_samples(tiny, tmp_path):
    """With rule single both processes have the same network, and images are shared out: one process has them all."""
    tiny.write(tmp_path / "tiny.json")
    common = {**SHORT, "rule": "single", "drop_path": 0.0, "epochs": 2, "checkpoint_seconds": 60.0}
    (tmp_path / "child.py").write_text(CHILD)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
              "--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]  # fmt: skip
    arguments = [str(tmp_path / "child.py"), str(tmp_path / "tiny.json")]
    two = json.dumps({**common, "batch_size": 128})
    subprocess.run(
        [*launch, *arguments, str(tmp_path / "two"), two], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    one = train_supernet(tiny, "digits", tmp_path / "one", short(**{**common, "batch_size": 256}))
    there = weights(tmp_path / "two")
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(there[name], tensor, rtol=1e-3, atol=2e-4)
    losses = [[line["loss"] for line in history(tmp_path / name)] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)

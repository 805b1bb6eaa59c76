"""The metric `accuracy`, and where its trainings keep their checkpoints."""

import os

import pytest

from evaluators import get_metric
from evaluators.training.storage import folder_in, require_writable
from searchspaces import NasError, get_space

SHORT = {"epochs": 2, "recipe": {"batch_size": 512, "checkpoint_seconds": 0.0}}


@pytest.fixture(scope="module")
def tiny():
    return get_space("asvit").smallest().replace(choices={"width": 4, "stage4.depth": 2})


def test_the_value_is_that_of_the_training(tiny, tmp_path):
    from evaluators.training import recipe_for, train

    metric = get_metric("accuracy", SHORT)
    recipe = recipe_for("digits", {"epochs": 2, "batch_size": 512, "warmup_epochs": 1, "threads": 1, "seed": 1})
    expected = train(tiny, "digits", tmp_path / "run", recipe).validation_accuracy
    assert metric.measure(tiny, 1) == expected


def test_an_interrupted_training_goes_on_and_tells_every_epoch(tiny, tmp_path):
    metric = get_metric("accuracy", {**SHORT, "storage": str(tmp_path)})
    told = []

    def stop(record):
        told.append(record["epoch"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        metric.train(tiny, 0, str(tmp_path), stop)
    value = metric.train(tiny, 0, str(tmp_path), lambda record: told.append(record["epoch"]))
    assert told == [1, 1, 2]
    assert value == metric.measure(tiny, 0) == get_metric("accuracy", SHORT).measure(tiny, 0)
    assert len(list(tmp_path.iterdir())) == 1


def test_folders_tell_trainings_apart(tiny):
    metric = get_metric("accuracy", SHORT)
    other = get_metric("accuracy", {**SHORT, "epochs": 3})
    elsewhere = get_metric("accuracy", {**SHORT, "storage": "x", "stop_early": "asha"})
    wide = tiny.replace(choices={"width": 8})
    assert len({metric.folder(tiny, 0), metric.folder(tiny, 1), metric.folder(wide, 0), other.folder(tiny, 0)}) == 4
    assert metric.folder(tiny, 0) == elsewhere.folder(tiny, 0)


def test_a_url_keeps_what_a_folder_would(tmp_path):
    url = f"file://{tmp_path}/store"
    require_writable(url)
    with folder_in(url, "a") as (folder, keep):
        (folder / "checkpoint").mkdir(parents=True)
        (folder / "checkpoint" / "one").write_text("1")
        (folder / "checkpoint" / "state.json").write_text("{}")
        keep()
        (folder / "checkpoint" / "one").unlink()
        (folder / "checkpoint" / "two").write_text("2")
    with folder_in(url, "a") as (folder, _):
        found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == ["checkpoint/state.json", "checkpoint/two"]


def test_storage_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(NasError, match=r"storage=.* cannot be written"):
        require_writable(str(tmp_path / "file" / "inside"))
    with pytest.raises(NasError, match="storage='nothing://x/y'"):
        require_writable("nothing://x/y")
    if os.getuid() == 0:
        pytest.skip("root may write into a read-only folder")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(NasError, match="Permission denied"):
        require_writable(str(tmp_path / "closed"))

"""Checkpoints: whole or not at all, and damage told in a sentence."""

import json

import pytest
import torch

from evaluators.training.checkpoint import (
    FOLDER,
    STATE,
    load_checkpoint,
    load_tensors,
    remove_checkpoint,
    save_checkpoint,
    save_tensors,
)
from searchspaces import NasError

TENSORS = {"model.weight": torch.arange(6.0).reshape(2, 3), "optimizer.0.step": torch.tensor(7.0)}


def save(tmp_path, epoch):
    save_checkpoint(tmp_path, {name: tensor + epoch for name, tensor in TENSORS.items()}, {"epoch": epoch, "lr": 0.1})


def test_a_checkpoint_comes_back_as_it_was_and_replaces_the_one_before(tmp_path):
    assert load_checkpoint(tmp_path) is None
    save(tmp_path, 1)
    save(tmp_path, 2)
    tensors, plain = load_checkpoint(tmp_path)
    assert (plain["epoch"], plain["lr"]) == (2, 0.1)
    assert all(torch.equal(tensors[name], tensor + 2) for name, tensor in TENSORS.items())
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == ["epoch-000002.safetensors", STATE]


def test_tensors_without_their_state_are_ignored(tmp_path):
    save(tmp_path, 1)
    save_tensors(tmp_path / FOLDER / "epoch-000002.safetensors", TENSORS)  # killed before the state was written
    assert load_checkpoint(tmp_path)[1]["epoch"] == 1


def test_nothing_is_left_after_removal(tmp_path):
    save(tmp_path, 1)
    remove_checkpoint(tmp_path)
    assert load_checkpoint(tmp_path) is None
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize("damage", ["tensors cut", "tensors gone", "state cut", "state a list"])
def test_a_damaged_checkpoint_says_so(tmp_path, damage):
    save(tmp_path, 1)
    state, tensors = tmp_path / FOLDER / STATE, tmp_path / FOLDER / "epoch-000001.safetensors"
    if damage == "tensors cut":
        tensors.write_bytes(tensors.read_bytes()[:-5])
    elif damage == "tensors gone":
        tensors.unlink()
    elif damage == "state cut":
        state.write_text(state.read_text()[:20])
    else:
        state.write_text(json.dumps([1, 2]))
    with pytest.raises(NasError, match="to begin again"):
        load_checkpoint(tmp_path)


def test_a_state_never_leads_out_of_its_folder(tmp_path):
    save(tmp_path, 1)
    save_tensors(tmp_path / "outside.safetensors", TENSORS)
    state = tmp_path / FOLDER / STATE
    state.write_text(json.dumps({"epoch": 1, "tensors": "../outside.safetensors"}))
    with pytest.raises(NasError, match="cannot be read"):
        load_checkpoint(tmp_path)


def test_a_full_disk_leaves_the_file_before_and_no_rest(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_tensors(path, TENSORS)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evaluators.training.checkpoint.os.fsync", full)
    with pytest.raises(NasError, match="No space left"):
        save_tensors(path, {"other": torch.zeros(3)})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_file_of_another_kind_is_no_tensor_file(tmp_path):
    (tmp_path / "weights.safetensors").write_text("hello")
    with pytest.raises(NasError, match="cannot be read as safetensors"):
        load_tensors(tmp_path / "weights.safetensors")

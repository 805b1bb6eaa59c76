"""The directory of a tuning run: what ended, what did not, and mistakes told in a sentence."""

import json

import pytest

from nas.tuning.run import TuningConfig, TuningRun
from searchspaces import NasError, get_space


@pytest.fixture
def run(tmp_path):
    tiny = get_space("asvit").smallest().replace(choices={"width": 4})
    return TuningRun.create(tmp_path / "run", TuningConfig(storage=str(tmp_path / "s"), trials=3, epochs=2), tiny)


def ended(rate, accuracy, finished=True, failure=None):
    chosen = {"learning_rate": rate}
    return {"chosen": chosen, "accuracy": accuracy, "epochs": 2, "finished": finished, "failure": failure}


def test_it_comes_back(run):
    again = TuningRun.open(run.path)
    assert (again.config, again.architecture) == (run.config, run.architecture)
    assert TuningRun.is_one(run.path)
    assert not TuningRun.is_one(run.path.parent)


def test_what_began_and_never_ended_goes_on(run):
    run.append({"chosen": {"learning_rate": 0.1}})
    run.append({"chosen": {"learning_rate": 0.2}})
    run.append(ended(0.1, 0.5))
    run.append({"chosen": {"learning_rate": 0.2}})  # begun again after its worker died
    assert run.unfinished() == [{"learning_rate": 0.2}]
    assert [record["accuracy"] for record in run.records()] == [0.5]


def test_a_torn_line_is_passed_over(run):
    run.append(ended(0.1, 0.5))
    with open(run.path / "trials.jsonl", "a") as file:
        file.write('{"chosen": {"lear')
    assert len(run.records()) == 1
    run.append(ended(0.2, 0.6))
    assert [record["accuracy"] for record in run.records()] == [0.5, 0.6]


def test_the_best_was_trained_to_its_end(run):
    assert run.best() is None
    run.append(ended(0.1, 0.9, finished=False))
    run.append(ended(0.2, 0.6))
    run.append(ended(0.3, 0.0, finished=False, failure="the loss is not finite"))
    assert run.best()["accuracy"] == 0.6
    status = run.status()
    assert (status["state"], status["trials"], status["ended_early"], status["failed"]) == ("finished", 3, 1, 1)


def test_a_folder_of_something_else(run):
    with pytest.raises(NasError, match="is not empty; continue a run there with: nas resume"):
        TuningRun.create(run.path, run.config, run.architecture)
    (run.path / "tuning.json").write_text(json.dumps({"format": "else"}))
    with pytest.raises(NasError, match="is not of the format 'nas\\.tuning/1'"):
        TuningRun.open(run.path)

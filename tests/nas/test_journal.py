"""The journal: whole trials, readable by Optuna, torn lines dropped, full disks told."""

import json
import os
import threading

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from evaluators import Measurement
from nas.expressions import Objective, parse_constraint
from nas.journal import Journal, mend
from nas.problem import Problem
from nas.trial import Trial
from searchspaces import NasError, get_space

SPACE = get_space("asvit")
SIZES = {"image_size": 64, "in_channels": 3, "num_classes": 10}
PROBLEM = Problem(SPACE, SIZES, [Objective("length", "maximize")], [parse_constraint("params<=5e6")])
PROBLEMS = {"search": PROBLEM, "scale": PROBLEM}


def trial(number, value=0.1 + 0.2, phase="search", failure=None):
    import numpy as np

    architecture = SPACE.sample(np.random.default_rng(number), **SIZES)
    if number % 2:
        architecture = architecture.replace(
            choices={"width": 40 + number, "stage2.depth": 3, "position_embedding": True}
        )
    measured = {
        "length": Measurement(None if failure else value, failure, () if failure else (value, value), 1.5),
        "params": Measurement(4e6, None, (4e6,), 0.0),
    }
    return Trial(number, phase, architecture, measured, {"elapsed": 1.25})


def test_trials_come_back_equal(tmp_path):
    path = tmp_path / "trials.journal"
    written = [trial(i, failure="not finite" if i == 3 else None) for i in range(6)]
    journal = Journal(path, PROBLEMS)
    for one in written:
        journal.append(one)
    journal.append(trial(0, phase="scale"))
    again = Journal(path, PROBLEMS)
    assert again.read("search") == written
    assert again.read("scale") == [trial(0, phase="scale")]
    assert again.read("search")[3].failure == "length: not finite"


def test_optuna_opens_it(tmp_path):
    path = tmp_path / "trials.journal"
    journal = Journal(path, PROBLEMS)
    for i in range(4):
        journal.append(trial(i, value=float(i), failure="x" if i == 2 else None))
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.load_study(storage=storage, study_name="search")
    assert study.best_trial.number == 3
    assert study.metric_names == ["length"]
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    assert study.trials[0].constraints == {"params<=5e+06": -1e6}
    assert study.trials[1].params["width"] == 41


@pytest.mark.parametrize("cut", [1, 5, 40, 400])
def test_a_torn_last_line_is_dropped_with_a_warning(tmp_path, cut):
    path = tmp_path / "trials.journal"
    journal = Journal(path, PROBLEMS)
    for i in range(3):
        journal.append(trial(i))
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    assert Journal(path, PROBLEMS).read("search") == [trial(0), trial(1)]
    with pytest.warns(UserWarning, match=r"the torn last line .* was dropped"):
        mend(path)
    again = Journal(path, PROBLEMS)
    assert again.read("search") == [trial(0), trial(1)]
    again.append(trial(2))
    assert path.read_bytes().count(b"\n") == content.count(b"\n")
    assert Journal(path, PROBLEMS).read("search") == [trial(i) for i in range(3)]


def test_damage_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "trials.journal"
    journal = Journal(path, PROBLEMS)
    for i in range(3):
        journal.append(trial(i))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-2], b"garbage\n", lines[-1]]))
    with pytest.raises(NasError, match="line 4 is damaged"):
        mend(path)


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "trials.journal"
    journal = Journal(path, PROBLEMS)
    journal.append(trial(0))
    write = os.write

    def almost_full(file, lines):
        if len(lines) > 20:  # some of it still fits
            return write(file, lines[:20])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("nas.journal_file.os.write", almost_full)
        with pytest.raises(NasError, match="No space left on device; what was written before is kept"):
            journal.append(trial(1))
    journal.append(trial(1))
    assert Journal(path, PROBLEMS).read("search") == [trial(0), trial(1)]


def test_a_disk_that_does_not_keep_what_it_took_is_told(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "trials.journal", PROBLEMS)
    failed = threading.Event()

    def broken(_):
        failed.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("nas.journal_file.os.fsync", broken)
    journal.append(trial(0))
    assert failed.wait(20)

    def write_on():
        for number in range(1, 1000):
            journal.append(trial(number))

    with pytest.raises(NasError, match="Input/output error"):
        write_on()


def test_readers_write_nothing(tmp_path):
    path = tmp_path / "trials.journal"
    journal = Journal(path, PROBLEMS)
    assert journal.read("search") == []
    assert not path.exists()
    journal.append(trial(0))
    before = path.read_bytes()
    study = optuna.load_study(storage=journal.reader(), study_name="search")
    with pytest.raises(PermissionError, match="written by its search only"):
        study.set_user_attr("mine", 1)
    assert path.read_bytes() == before


def test_nothing_in_it_is_pickled(tmp_path):
    path = tmp_path / "trials.journal"
    Journal(path, PROBLEMS).append(trial(0))
    for line in path.read_text().splitlines():
        json.loads(line)

"""A search by inherited weights: trained into the run or loaded, and refused where it does not fit."""

import shutil

import pytest

from nas.config import resolve
from nas.executors import make_executor
from nas.rundir import RunDirectory
from nas.study import Study
from nas.supernet import prepare_supernet
from searchspaces import Architecture, NasError

SMALL = {
    "space": "vit_resnas_digits",
    "trials": 10,
    "strategy_options": {"population": 6, "children": 4, "parents": 3},
    "supernet_recipe": {"epochs": 1, "warmup_epochs": 0, "choice_warmup_epochs": 0, "threads": 1},
}


def search(path, **values):
    run = RunDirectory.create(path, resolve({**SMALL, **values}))
    said = []
    prepare_supernet(run, said.append)
    with make_executor("inline", 1) as executor:
        return Study(run, executor).run(), said


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the directory of a run whose super-network was trained."""
    path = tmp_path_factory.mktemp("runs") / "first"
    outcome, said = search(path)
    assert any("epoch 1/1" in line for line in said)
    return path, outcome


def test_the_winner_is_just_under_the_limit_and_has_the_sizes_of_the_data(trained):
    path, outcome = trained
    best = Architecture.read(path / "best.json")
    assert best == outcome.winner.architecture
    assert (best.image_size, best.in_channels, best.num_classes) == (32, 1, 10)
    for trial in RunDirectory.open(path).journal.read("search"):
        assert 0.95 * 5e6 <= trial.value("macs") <= 5e6
        assert 0.0 <= trial.value("supernet_accuracy") <= 1.0
    assert outcome.winner.value("supernet_accuracy") >= 0.1


def test_a_trained_super_network_is_loaded_and_gives_the_same_trials(trained, tmp_path):
    path, outcome = trained
    again, said = search(tmp_path / "second", supernet=str(path / "supernet"))
    assert said == []
    assert again.winner.architecture == outcome.winner.architecture
    first, second = (RunDirectory.open(p).journal.read("search") for p in (path, tmp_path / "second"))
    assert [t.values() for t in first] == [t.values() for t in second]


def test_resuming_neither_trains_nor_measures_again(trained):
    path, _ = trained
    before = (path / "trials.journal").read_bytes()
    run, said = RunDirectory.open(path), []
    prepare_supernet(run, said.append)
    assert not any("epoch" in line for line in said)
    with make_executor("inline", 1) as executor:
        Study(run, executor).run()
    assert (path / "trials.journal").read_bytes() == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"space": "vit_resnas_cifar", "constraint": ["macs<=120e6"]}, "has space='vit_resnas_digits', the search"),
        ({"image_size": 48}, "has image_size=32, the search image_size=48"),
        ({"num_classes": 7}, "has num_classes=10, the search num_classes=7"),
    ],
)
def test_a_super_network_that_does_not_fit_is_refused(trained, tmp_path, values, message):
    path, _ = trained
    with pytest.raises(NasError, match=message):
        search(tmp_path / "run", data="digits", supernet=str(path / "supernet"), **values)


def test_a_damaged_super_network_is_named(trained, tmp_path):
    path, _ = trained
    shutil.copytree(path / "supernet", tmp_path / "cut")
    weights = tmp_path / "cut" / "supernet.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(NasError, match=r"none of the 10 networks could be measured.*supernet.safetensors"):
        search(tmp_path / "run", supernet=str(tmp_path / "cut"))
    with pytest.raises(NasError, match="holds no super-network"):
        search(tmp_path / "other", supernet=str(tmp_path))


def test_limits_and_data_that_cannot_be():
    with pytest.raises(NasError, match="a super-network needs images; give --data"):
        resolve({"space": "vit_resnas_tiny"})
    with pytest.raises(NasError, match="unknown key of recipe 'epoch'; did you mean 'epochs'"):
        resolve({**SMALL, "supernet_recipe": {"epoch": 1}})


def test_a_limit_below_the_smallest_network_names_its_value(trained, tmp_path):
    path, _ = trained
    with pytest.raises(NasError, match=r"constraint='macs<=1e\+06' .* its smallest network has macs=2.52922e\+06"):
        search(tmp_path / "run", constraint=["macs<=1e6"], supernet=str(path / "supernet"))

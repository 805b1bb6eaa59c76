"""The study loop: replay, budget, interruption, run directories, and the same trials however they were computed."""

import json
import shutil

import pytest

from nas.config import resolve
from nas.executors import make_executor
from nas.rundir import RunDirectory
from nas.study import Observer, Study
from searchspaces import Architecture, NasError

TOY = {"space": "toy", "image_size": 8, "maximize": ["toy_score"], "trials": 30}
ASVIT = {
    "trials": 12,
    "image_size": 32,
    "maximize": ["params"],
    "minimize": ["macs"],
    "scale_to": "params<=4e6",
    "scaling": {"measures": ["params", "macs"]},
}
FAST = {"strategy_options": {"population": 8, "children": 4}}


def search(path, observer=None, workers=0, **values):
    run = RunDirectory.create(path, resolve(values))
    return finish(run, observer, workers)


def finish(run, observer=None, workers=0):
    with make_executor("processes" if workers else "inline", workers or 1) as executor:
        return Study(run, executor, observer).run()


def trials(path):
    journal = RunDirectory.open(path).journal
    phases = ("search", "scale") if RunDirectory.open(path).config.scales else ("search",)
    return [(t.phase, t.number, t.architecture, t.values()) for phase in phases for t in journal.read(phase)]


class Stop(Observer):
    """Raises after so many trials."""

    def __init__(self, after, error=KeyboardInterrupt):
        self.left, self.error = after, error

    def trial(self, trial, best, replayed):
        self.left -= 1
        if self.left == 0:
            raise self.error


@pytest.mark.parametrize("strategy", ["random", "evolution", "reinforce", "optuna:tpe"])
@pytest.mark.parametrize("after", [1, 7, 17])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, strategy, after):
    whole = search(tmp_path / "whole", **TOY, strategy=strategy)
    try:
        assert search(tmp_path / "parts", Stop(after), **TOY, strategy=strategy).stopped == "interrupted"
    except KeyboardInterrupt:
        assert after == 1  # the only network so far had failed
    assert len(trials(tmp_path / "parts")) == after
    resumed = finish(RunDirectory.open(tmp_path / "parts"))
    assert resumed.stopped is None
    assert trials(tmp_path / "parts") == trials(tmp_path / "whole")
    assert resumed.winner.architecture == whole.winner.architecture


@pytest.mark.parametrize("after", [9, 13, 20, 31])
def test_scaling_resumes_too(tmp_path, after):
    whole = search(tmp_path / "whole", **ASVIT)
    assert len(whole.family) >= 2
    search(tmp_path / "parts", Stop(after), **ASVIT)
    finish(RunDirectory.open(tmp_path / "parts"))
    assert trials(tmp_path / "parts") == trials(tmp_path / "whole")


def test_results_do_not_depend_on_the_workers(tmp_path):
    for workers in (0, 1, 2):
        search(tmp_path / str(workers), workers=workers, **TOY, **FAST)
    assert trials(tmp_path / "0") == trials(tmp_path / "1") == trials(tmp_path / "2")


def test_what_a_run_leaves_behind(tmp_path):
    outcome = search(tmp_path / "run", **ASVIT)
    run = tmp_path / "run"
    best = Architecture.read(run / "best.json")
    assert best == outcome.winner.architecture == outcome.family[-1].architecture
    assert Architecture.read(run / "seed.json") == outcome.seed.architecture
    assert "width" not in outcome.seed.architecture.choices
    assert best.provenance["metrics"]["params"] <= 4e6
    assert best.provenance["seed"] == 0
    family = sorted((run / "family").iterdir())
    assert [Architecture.read(path) for path in family] == [t.architecture for t in outcome.family]
    sizes = [Architecture.read(path).provenance["metrics"]["params"] for path in family]
    assert sizes == sorted(sizes)
    front = sorted((run / "pareto").iterdir())
    assert [Architecture.read(path) for path in front] == [t.architecture for t in outcome.front]
    assert json.loads((run / "best.json").read_text())["provenance"]["notation"].count("|") == 4


def test_equal_networks_are_looked_up(tmp_path):
    options = {"strategy": "optuna:random", "trials": 80}
    search(tmp_path / "run", **{**TOY, **options})
    seen = {}
    for _, _, architecture, values in trials(tmp_path / "run"):
        assert seen.setdefault(architecture, values) == values
    assert len(seen) < 80


def test_a_space_that_runs_out_ends_the_search(tmp_path):
    outcome = search(tmp_path / "run", **{**TOY, "trials": 500, "strategy": "random"})
    assert len(trials(tmp_path / "run")) == 120
    assert outcome.stopped is None


def test_budget_ends_the_search_and_is_said(tmp_path):
    options = {**TOY, "budget": "1s", "metrics": {"toy_score": {"seconds": 0.05}}}
    del options["trials"]
    outcome = search(tmp_path / "run", **options)
    assert outcome.stopped == "the budget of 1s is spent"
    assert 3 <= len(trials(tmp_path / "run")) <= 25


def test_constraints_on_measured_metrics(tmp_path):
    outcome = search(tmp_path / "run", **{**TOY, "constraint": ["toy_score<=0.5"]})
    assert outcome.winner.value("toy_score") <= 0.5


def test_nobody_meets_a_measured_constraint(tmp_path):
    with pytest.raises(
        NasError, match=r"constraint='toy_score>=2' was met by none of 30 networks; the closest had toy_score=0"
    ):
        search(tmp_path / "run", **{**TOY, "constraint": ["toy_score>=2"]})
    assert len(trials(tmp_path / "run")) == 30


def test_every_network_fails(tmp_path):
    values = {**TOY, "maximize": ["length"], "metrics": {"length": {"image_size": 300}}, "trials": 3}
    with pytest.raises(NasError, match="none of the 3 networks could be measured; the first failed with: length: "):
        search(tmp_path / "run", **values)


def test_a_directory_of_another_run_is_refused(tmp_path):
    search(tmp_path / "run", **TOY)
    with pytest.raises(NasError, match=r"belongs to another configuration: seed=0 there, 1 here"):
        search(tmp_path / "run", **TOY, seed=1)
    with pytest.raises(NasError, match="holds this very run already; continue it with: nas resume"):
        search(tmp_path / "run", **TOY)
    with pytest.raises(NasError, match="can be met by none of toy"):
        search(tmp_path / "unused", **{**TOY, "constraint": ["params<=1"]})
    search(tmp_path / "unused", **TOY)  # a run that ended before its first trial is in nobody's way
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(NasError, match="is not empty and holds no run"):
        search(tmp_path / "other", **TOY)
    with pytest.raises(NasError, match="is not a run directory"):
        RunDirectory.open(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NasError, match="cannot be made"):
        search(tmp_path / "file" / "run", **TOY)


def test_a_journal_of_another_run_is_refused(tmp_path):
    search(tmp_path / "a", **TOY)
    search(tmp_path / "b", **TOY, seed=1)
    shutil.copy(tmp_path / "a" / "trials.journal", tmp_path / "b" / "trials.journal")
    with pytest.raises(NasError, match="trial 0 in the journal is not the network this version asks for"):
        finish(RunDirectory.open(tmp_path / "b"))


def test_one_process_at_a_time(tmp_path):
    run = RunDirectory.create(tmp_path / "run", resolve(TOY))
    again = RunDirectory.open(tmp_path / "run")
    with run.locked(), pytest.raises(NasError, match="is being searched by another process"), again.locked():
        pass
    with again.locked():
        pass


def test_a_damaged_configuration_is_named(tmp_path):
    search(tmp_path / "run", **TOY)
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0", "sed: 0"))
    with pytest.raises(NasError, match=r"config.yaml: unknown key 'sed'; did you mean 'seed'"):
        RunDirectory.open(tmp_path / "run")

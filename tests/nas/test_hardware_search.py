"""Searches over devices: bounds checked before anything is evaluated, several targets at once, what is written."""

import json

import pytest
import toy_target

from nas.config import resolve
from nas.executors import make_executor
from nas.report import write_report_files
from nas.rundir import RunDirectory
from nas.study import Study
from searchspaces import Architecture, NasError

TOY = {"space": "toy", "image_size": 8, "in_channels": 1, "num_classes": 10, "strategy": "random", "trials": 24}
LATENCY, ENERGY = "latency_ms@toy-device", "energy_mj@toy-slow-device"


def search(path, executor="inline", **values):
    run = RunDirectory.create(path, resolve({**TOY, "executor": executor, **values}))
    with make_executor(executor, 1) as workers:
        study = Study(run, workers)
        return run, study, study.run()


def test_several_targets_in_one_search(tmp_path):
    run, study, outcome = search(
        tmp_path / "run",
        maximize=["toy_score"],
        minimize=[LATENCY, ENERGY],
        constraint=[f"{LATENCY}<=0.0012", "params<=2000"],
        metrics={ENERGY: {"batch_size": 4}},
        batch_size=2,
        precision="int8",
    )
    assert all(trial.value(LATENCY) <= 0.0012 for trial in outcome.front)
    assert all(trial.measurements[LATENCY].value <= 0.0012 for trial in study.trials)  # before they were evaluated
    costs = Architecture.read(run.path / "best.json").provenance["costs"]
    assert [(c["target"], c["batch_size"], c["precision"]) for c in costs] == [
        ("toy-device", 2, "int8"),
        ("toy-slow-device", 4, "int8"),
    ]
    latency = costs[0]["latency_ms"]
    assert latency["value"] == pytest.approx(outcome.winner.value(LATENCY))
    assert (latency["basis"], latency["error"], latency["coverage"]) == ("fitted", 0.05, 0.8)
    assert latency["interval"] == pytest.approx([0.9 * latency["value"], 1.1 * latency["value"]])
    assert (costs[0]["energy_mj"]["basis"], costs[0]["energy_mj"]["error"]) == ("model", None)
    assert "memory_mb" not in costs[0]
    front = json.loads((run.path / "pareto" / "000.json").read_text())
    assert front["provenance"]["costs"]


def test_the_report_has_front_hypervolume_and_stated_errors(tmp_path):
    run, _, outcome = search(tmp_path / "run", maximize=["params"], minimize=[LATENCY, ENERGY])
    files = write_report_files(run)
    page = files.report.read_text()
    volume = run.config.problem("search").hypervolume(run.journal.read("search"))
    assert f"Hypervolume of the front: {volume.share:.3f}" in page
    assert {path.stem for path in files.plots} >= {"pareto", "pareto-2"}
    assert "80 % within" in page
    assert "by hand" in page
    assert 0 < volume.share <= 1
    assert set(volume.alone) == {trial.number for trial in outcome.front}


def test_no_front_no_hypervolume(tmp_path):
    run, study, _ = search(tmp_path / "run", minimize=[LATENCY])
    assert run.config.problem("search").hypervolume(study.trials) is None


def test_bounds_nobody_can_meet(tmp_path, monkeypatch):
    with pytest.raises(NasError, match=r"was met by none of 2000 networks .*; the closest had latency_ms@toy-device="):
        search(tmp_path / "a", minimize=["params"], constraint=[f"{LATENCY}<=0.00001"])
    monkeypatch.setattr(toy_target.ToyTarget, "most_params", 1)
    with pytest.raises(NasError, match=r"none has a value, for one: unsupported: .* parameters do not fit into 1"):
        search(tmp_path / "b", minimize=["params"], constraint=[f"{LATENCY}<=77"], num_classes=11)


def test_networks_a_target_cannot_run_fail_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(toy_target.ToyTarget, "most_params", 900)
    _, study, outcome = search(tmp_path / "run", minimize=[ENERGY, "params"], num_classes=12)
    failures = {trial.failure for trial in study.trials if trial.failure}
    assert failures
    assert all("parameters do not fit into 900" in failure for failure in failures)
    assert all(trial.value("params") <= 900 for trial in outcome.front)


def test_workers_measure_targets(tmp_path):
    name = "latency_ms@edge-moe-general"
    values = {"space": "vit_resnas_digits", "image_size": 32, "num_classes": 10, "in_channels": 1, "trials": 4}
    constraint = [f"{name}<=1e9"]
    config = {**values, "constraint": constraint, "no_scale": True, "strategy": "random", "strategy_options": {}}
    run = RunDirectory.create(tmp_path / "run", resolve({**config, "minimize": [name, "params"], "workers": 1}))
    with make_executor("processes", 1) as workers:
        outcome = Study(run, workers).run()
    assert outcome.front[0].value(name) > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"minimize": ["latency_ms@toy-devise"]}, "unknown target 'toy-devise'"),
        ({"minimize": [LATENCY], "batch_size": 0}, "batch_size=0"),
        ({"minimize": [LATENCY], "precision": "fp16"}, "precision='fp16' is not one of toy-device"),
        ({"minimize": [LATENCY], "constraint": [f"{LATENCY}<=-1"]}, "the bound must be positive"),
        ({"minimize": ["params"], "constraint": ["latency_ms@toydevice<=1"]}, "unknown target 'toydevice'"),
    ],
)
def test_mistakes_are_named_before_the_search(values, message):
    with pytest.raises(NasError, match=message):
        resolve({**TOY, **values})


def test_settings_of_one_metric_win():
    config = resolve({**TOY, "minimize": [LATENCY], "batch_size": 8, "metrics": {LATENCY: {"batch_size": 3}}})
    assert config.make_metric(LATENCY).settings.batch_size == 3
    assert config.make_metric("energy_mj@toy-device").settings.batch_size == 8
    assert config.make_metric("params").settings.model_dump() == {}

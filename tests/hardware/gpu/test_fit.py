"""Fitting: a law that is there is found, far from the data nothing is made up, and the stated errors hold."""

from __future__ import annotations

from dataclasses import replace

import devices
import numpy as np
import pytest

from hardware.fitted.assess import accuracy, cross_validate
from hardware.fitted.features import INDEX, per_pass
from hardware.fitted.fit import _negative_evidence, fit_residual, fit_roofline
from hardware.fitted.predictor import Measured, Predictor
from hardware.fitted.residual import residual_inputs
from hardware.fitted.samples import Samples, rest
from hardware.fitted.train import fit_predictor, launch_time, train
from hardware.fitted.transfer import transfer
from searchspaces import NasError


def test_the_roofline_finds_a_linear_law():
    known, unseen = devices.samples(200, seed=1, noise=0), devices.samples(50, seed=2, noise=0)
    coefficients = fit_roofline(known)
    assert (coefficients >= 0).all()
    predicted = per_pass(unseen.columns, unseen.batch_size) @ coefficients
    assert np.abs(predicted / unseen.pass_ms - 1).mean() < 0.03


def test_the_gradient_of_the_evidence_is_its_slope():
    rng = np.random.default_rng(0)
    points, values = rng.normal(size=(12, 3)), rng.normal(size=12)
    same = np.equal.outer(np.arange(12) % 4, np.arange(12) % 4).astype(float)
    logs = np.log([1.5, 2.0, 3.0, 0.5, 0.2, 0.1])
    _, gradient = _negative_evidence(logs, points, values, same)
    for index in range(len(logs)):
        step = np.zeros(len(logs))
        step[index] = 1e-5
        slope = _negative_evidence(logs + step, points, values, same)[0]
        slope -= _negative_evidence(logs - step, points, values, same)[0]
        assert gradient[index] == pytest.approx(slope / 2e-5, rel=1e-4, abs=1e-6)


def test_the_residual_follows_the_data_and_fades_far_from_it():
    measured = devices.samples(120, seed=3)
    inputs = residual_inputs(measured.columns)
    values = 0.3 * np.tanh((inputs[:, 0] - inputs[:, 0].mean()) / inputs[:, 0].std())
    residual = fit_residual(measured.columns, values, measured.groups)
    near, certain = residual.predict(inputs, measured.groups)
    assert np.corrcoef(near, values)[0, 1] > 0.95
    far, uncertain = residual.predict(inputs[:1] + 1000)
    assert abs(far[0]) < 1e-6
    assert uncertain[0] > 2 * certain.max()


def test_values_without_the_own_family_are_those_of_a_fit_without_it():
    measured = devices.samples(60, seed=4)
    values = np.random.default_rng(5).normal(0, 0.2, 60)
    residual = replace(fit_residual(measured.columns, values, measured.groups), reach=1.0)
    found = residual.without_own_family()
    own = np.array(measured.groups) == "family3"
    others = tuple(g for g in measured.groups if g != "family3")
    without = replace(residual, anchors=residual.anchors[~own], values=residual.values[~own], groups=others)
    expected, _ = without.predict(residual_inputs(measured.columns[own]))
    assert found[own] == pytest.approx(expected, abs=1e-9)


def test_values_left_out_one_by_one():
    measured = devices.samples(30, seed=6)
    residual = fit_residual(measured.columns, np.random.default_rng(7).normal(0, 0.2, 30), measured.groups)
    kept = np.arange(1, 30)
    without = replace(
        residual, anchors=residual.anchors[kept], values=residual.values[kept], groups=residual.groups[1:]
    )
    mean, _ = replace(without, reach=1.0).predict(residual_inputs(measured.columns[:1]), measured.groups[:1])
    assert residual.left_out()[0] == pytest.approx(residual.values[0] - mean[0], abs=1e-9)


def test_the_stated_error_and_interval_hold_on_networks_not_seen():
    predictor = train(devices.samples(240, seed=8, noise=0.1), "invented", "fp32", Measured((64, 128)), {})
    unseen = devices.samples(400, seed=9, noise=0.1)
    predicted, spread = predictor.predict(unseen.columns, unseen.batch_size)
    error = np.abs(predicted / unseen.pass_ms - 1).mean()
    assert error == pytest.approx(predictor.error["mape"], rel=0.35)
    low, high = predictor.interval(predicted, spread)
    assert 0.7 < ((low <= unseen.pass_ms) & (unseen.pass_ms <= high)).mean() < 0.9


def test_folds_by_family_share_none():
    measured = devices.samples(50, families=7)
    folds = measured.family_folds(4)
    assert sorted(np.concatenate(folds)) == list(range(50))
    for fold in folds:
        inside = {measured.groups[index] for index in fold}
        assert not inside & {measured.groups[index] for index in rest(measured, fold)}


def test_accuracy_is_what_its_words_say():
    measured, predicted = np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.05, 2.3, 3.0, 8.0])
    found = accuracy(measured, predicted, np.zeros(4), [])
    assert found.mape == pytest.approx((0.05 + 0.15 + 0.25 + 0) / 4)
    assert (found.within10, found.within20, found.tau, found.spearman) == (0.5, 0.75, 1.0, 1.0)
    assert np.isnan(found.coverage)


def test_errors_are_stated_for_whole_networks_only():
    measured = devices.samples(40, noise=0)
    whole = np.arange(40) < 30
    marked = replace(measured, whole=whole)

    def wrong_for_parts(known, unseen):
        return unseen.pass_ms * np.where(unseen.whole, 1.1, 9.0), np.ones(len(unseen))

    found = cross_validate(marked, marked.random_folds(4), wrong_for_parts)
    assert (found.networks, found.mape) == (30, pytest.approx(0.1))


def test_launches_bound_short_passes():
    rng = np.random.default_rng(0)
    columns = devices.columns(40, rng)
    launches = columns[:, INDEX["launches"]]
    law = devices.prices(rng)
    small = np.maximum(per_pass(columns, 1.0) @ law, 0.4 * launches)
    large = np.maximum(per_pass(columns, 256.0) @ law, 0.4 * launches)
    assert (small == 0.4 * launches).mean() > 0.8
    assert (large > 0.4 * launches).all()
    groups = tuple(str(index) for index in range(40))
    both = Samples(
        np.vstack([columns, columns]), np.repeat([1.0, 256.0], 40), np.concatenate([small, large]), groups * 2
    )
    launch = launch_time(both)
    assert launch == pytest.approx(0.4, rel=0.05)
    predictor = fit_predictor(both, launch, "fitted")
    predicted, _ = predictor.predict(columns, 1)
    assert np.abs(predicted / small - 1).mean() < 0.05


def test_transfer_needs_few_networks():
    source_samples = devices.samples(200, seed=10, noise=0.03)
    source = train(source_samples, "old", "fp32", Measured((64, 128)), {})

    def elsewhere(samples):
        inputs = residual_inputs(samples.columns)[:, 0]
        return replace(samples, pass_ms=samples.pass_ms * 0.4 * np.exp(0.05 * inputs))

    anchors, unseen = elsewhere(devices.samples(30, seed=11)), elsewhere(devices.samples(200, seed=12))
    new = transfer(source, anchors, "new", "fp16")
    predicted, _ = new.predict(unseen.columns, unseen.batch_size)
    error = np.abs(predicted / unseen.pass_ms - 1).mean()
    kept, _ = source.predict(unseen.columns, unseen.batch_size)
    scaled = kept * np.median(anchors.pass_ms / source.predict(anchors.columns, anchors.batch_size)[0])
    assert error < np.abs(scaled / unseen.pass_ms - 1).mean()
    assert error < 1.5 * new.error["mape"]
    assert new.device == "new"
    assert new.origin["transferred_from"] == "old"
    with pytest.raises(NasError, match="networks=5 are too few"):
        transfer(source, anchors.take(np.arange(5)), "new", "fp16")


def test_a_predictor_survives_its_file(tmp_path):
    measured = devices.samples(60)
    predictor = train(measured, "invented", "fp32", Measured((64, 128)), {"script": "here"})
    predictor.write(tmp_path / "p.json")
    again = Predictor.read(tmp_path / "p.json")
    before, spread = predictor.predict(measured.columns, measured.batch_size)
    after, spread_after = again.predict(measured.columns, measured.batch_size)
    assert after == pytest.approx(before, rel=2e-3)
    assert spread_after == pytest.approx(spread, rel=2e-2)
    assert (again.error, again.origin, again.measured) == (predictor.error, predictor.origin, predictor.measured)


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"format": "nas.predictor/9"}', "cut", "negative", "nothing"])
def test_a_damaged_file_is_named_in_one_sentence(tmp_path, damage):
    path = tmp_path / "p.json"
    train(devices.samples(40), "invented", "fp32", Measured((64, 128)), {}).write(path)
    text = path.read_text()
    if damage == "cut":
        path.write_text(text[: len(text) // 2])
    elif damage == "negative":
        path.write_text(text.replace('"matmul": ', '"matmul": -', 1))
    elif damage == "nothing":
        path.unlink()
    else:
        path.write_text(damage)
    with pytest.raises(NasError, match=r"the coefficient file .*p.json is damaged: ") as caught:
        Predictor.read(path)
    assert "\n" not in str(caught.value)

"""How well the fitted predictors do on networks they have not seen, per device.

    python benchmarks/predictors.py --data DIRECTORY [--draws 10]

DIRECTORY holds the `benchmark-infer-*.csv` of the timm repository (commit in the coefficient files). Rows that are one
network under several names count once. "at random": five folds over the networks; "by family": five folds that share
no family, so that each network is predicted from other families only. Beside the predictor stand a constant times the
multiply-accumulates, and the roofline a*MACs + b*activations + c*parameters/batch + d, both from the tables' own
columns. The last table transfers a predictor to another device by 30 networks measured there, drawn several times:
"known" networks were measured on the first device, "new" ones on neither.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from timm_tables import Table, load

from hardware.fitted.assess import Accuracy, accuracy
from hardware.fitted.features import Vector
from hardware.fitted.predictor import Predictor
from hardware.fitted.samples import Indices, rest, splits
from hardware.fitted.targets import COEFFICIENTS
from hardware.fitted.train import assess_at_random, assess_by_family, fit_predictor
from hardware.fitted.transfer import transfer

ANCHORS = 30
TRANSFERS = (("gpu-rtx3090", "gpu-rtx4090"), ("gpu-rtx4090", "gpu-rtx3090"), ("cpu-i7-12700h", "cpu-i9-10940x"))
HEAD = f"{'':34}{'networks':>9}{'tau':>7}{'spearman':>10}{'error %':>9}{'in 10 %':>9}{'in 20 %':>9}{'covered':>9}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="directory with timm's tables")
    parser.add_argument("--draws", type=int, default=10, help="draws of the networks to transfer by")
    options = parser.parse_args()
    tables = load(options.data)
    for name, table in tables.items():
        device(name, table)
    print(f"\nA new device by {ANCHORS} networks, mean of {options.draws} draws\n{HEAD}")
    for source, target in TRANSFERS:
        for known in (True, False):
            transferred(tables, source, target, known, options.draws)


def device(name: str, table: Table) -> None:
    """Print the table of one device."""
    everything = np.arange(len(table.rows))
    plain = np.flatnonzero(table.plain)
    samples = table.samples
    print(f"\n{name}\n{HEAD}")
    for title, chosen, by_family in (
        ("plain ViTs, at random", plain, False),
        ("with attention, at random", everything, False),
        ("with attention, by family", everything, True),
    ):
        some = samples.take(chosen)
        rows = [table.rows[index] for index in chosen]
        folds = some.family_folds(5) if by_family else some.random_folds(5)
        assess = assess_by_family if by_family else assess_at_random
        print(title)
        macs = np.array([[row.macs] for row in rows])
        terms = np.array([[row.macs, row.activations, row.params / row.batch_size, 1] for row in rows])
        measured = some.pass_ms / some.batch_size
        line("  MACs only", baseline(macs, measured, folds))
        line("  roofline", baseline(terms, measured, folds))
        line("  predictor", assess(some, saturated=table.saturated))
    stated = Predictor.read(COEFFICIENTS / f"{name}.json").error
    print(f"  stated in {name}.json: error {100 * stated['mape']:.1f} %, tau {stated['tau']:.3f}, {stated['split']}")


def baseline(terms: Vector, measured: Vector, folds: Sequence[Indices]) -> Accuracy:
    """Return the accuracy of non-negative least squares on relative error."""
    predicted = np.zeros(len(measured))
    for fold in folds:
        known = np.setdiff1d(np.arange(len(measured)), fold)
        weights, _ = nnls(terms[known] / measured[known, None], np.ones(len(known)))
        predicted[fold] = terms[fold] @ weights
    return accuracy(measured, predicted, np.zeros(len(measured)), folds)


def transferred(tables: dict[str, Table], source: str, target: str, known: bool, draws: int) -> None:
    """Print the accuracy on a device of which 30 networks were measured, given another device's predictor."""
    origin, goal = tables[source], tables[target].samples
    place = {(row.model, row.image_size): index for index, row in enumerate(origin.rows)}
    at_source = [place.get((row.model, row.image_size)) for row in tables[target].rows]
    found = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        anchors = rng.choice(len(goal), ANCHORS, replace=False)
        others = rest(goal, anchors)
        predicted, inside = np.zeros(len(goal)), np.zeros(len(goal), bool)
        folds = [np.arange(0)] if known else origin.samples.random_folds(5, seed)
        for _, fold in splits(origin.samples, folds):
            predictor = fit_predictor(origin.samples.take(rest(origin.samples, fold)), saturated=origin.saturated)
            unseen = set(fold.tolist())
            tested = others if known else np.array([i for i in others if at_source[i] in unseen])
            new = transfer(predictor, goal.take(anchors), "", "fp32")
            groups = [goal.groups[index] for index in tested]
            predicted[tested], spread = new.predict(goal.columns[tested], goal.batch_size[tested], groups)
            low, high = new.interval(predicted[tested], spread)
            inside[tested] = (low <= goal.pass_ms[tested]) & (goal.pass_ms[tested] <= high)
        tested = others[predicted[others] > 0]
        image = goal.batch_size[tested]
        one = accuracy(goal.pass_ms[tested] / image, predicted[tested] / image, np.zeros(len(tested)), [])
        found.append(replace(one, coverage=float(inside[tested].mean())))
    mean = {key: float(np.mean([vars(one)[key] for one in found])) for key in vars(found[0])}
    line(f"{source[4:]} to {target[4:]}, {'known' if known else 'new'}", Accuracy(**{**mean, "networks": len(tested)}))


def line(title: str, found: Accuracy) -> None:
    """Print one row."""
    covered = f"{100 * found.coverage:9.0f}" if np.isfinite(found.coverage) else f"{'':>9}"
    shares = f"{100 * found.mape:9.1f}{100 * found.within10:9.0f}{100 * found.within20:9.0f}"
    print(f"{title:34}{found.networks:9}{found.tau:7.3f}{found.spearman:10.3f}{shares}{covered}", flush=True)


if __name__ == "__main__":
    main()

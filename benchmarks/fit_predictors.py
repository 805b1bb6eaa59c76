"""Fit the predictors that come with the package to timm's tables and write their coefficient files.

    python benchmarks/fit_predictors.py --data DIRECTORY

The directory holds the `benchmark-infer-*.csv` of the timm repository. The error in each file is that of
cross-validation by family: every network predicted from networks of other families only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import timm
import torch
from timm_tables import FILES, load

from hardware.fitted.predictor import Measured
from hardware.fitted.targets import COEFFICIENTS
from hardware.fitted.train import train

DEVICES = {
    "gpu-rtx3090": ("NVIDIA GeForce RTX 3090", "fp16"),
    "gpu-rtx4090": ("NVIDIA GeForce RTX 4090", "fp16"),
    "cpu-i9-10940x": ("Intel Core i9-10940X", "fp32"),
    "cpu-i7-12700h": ("Intel Core i7-12700H", "fp32"),
}
# Time for PyTorch to start one kernel of an eager network with automatic casts, milliseconds. An assumption: the
# tables hold no pass so short that it would show.
LAUNCH_MS = 0.02
ORIGIN = {
    "data": "huggingface/pytorch-image-models, results/",
    "commit": "aa4b5850c1543fa488abf260f18390eda46cf85d",
    "licence": "Apache-2.0",
    "part": "about half of the table's architectures",
    "script": "benchmarks/fit_predictors.py",
    "software": "PyTorch 2.4",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="directory with timm's tables")
    data = parser.parse_args().data
    for name, table in load(data).items():
        device, precision = DEVICES[name]
        gpu = name.startswith("gpu")
        sizes = table.samples.batch_size
        shortest = float(f"{table.samples.pass_ms.min():.4g}") if gpu else 0.0
        measured = Measured((int(sizes.min()), int(sizes.max())), shortest, table.saturated)
        versions = {"traced_with": f"timm {timm.__version__}, torch {torch.__version__.split('+')[0]}"}
        origin = {**ORIGIN, "file": FILES[name], **versions}
        predictor = train(table.samples, device, precision, measured, origin, LAUNCH_MS if gpu else 0.0)
        path = COEFFICIENTS / f"{name}.json"
        predictor.write(path)
        error = predictor.error
        print(f"{path}: {error['networks']} networks, mean error {100 * error['mape']:.1f} %, tau {error['tau']:.3f}")


if __name__ == "__main__":
    main()

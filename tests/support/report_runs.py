"""Run directories for the tests of the report, made trial by trial without a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluators import Measurement
from nas.config import resolve
from nas.executors import make_executor
from nas.rundir import RunDirectory
from nas.study import Study
from nas.trial import Trial

ASVIT = {
    "space": "asvit",
    "strategy": "random",
    "executor": "inline",
    "maximize": ["params"],
    "minimize": ["macs"],
    "scaling": {"measures": ["params", "macs"]},
}


def searched_run(path: Path, **changes: Any) -> RunDirectory:
    """Return a run that a real study wrote."""
    config = resolve({**ASVIT, "trials": 12, **changes})
    run = RunDirectory.create(path, config)
    with make_executor(config.executor, 1) as executor:
        Study(run, executor).run()
    return run


def written_run(
    path: Path, values: Sequence[float | None], failure: str = "it broke", no_scale: bool = True, **changes: Any
) -> RunDirectory:
    """Return an unfinished run of the toy space with one trial per value of `toy_score`; None is a failed one."""
    flags = {"space": "toy", "strategy": "random", "image_size": 8, "trials": 100, "maximize": ["toy_score"]}
    run = RunDirectory.create(path, resolve({**flags, "executor": "inline", "no_scale": no_scale, **changes}))
    problem, rng = run.config.problem("search"), np.random.default_rng(0)
    for number, value in enumerate(values):
        score = Measurement(value, None if value is not None else failure, () if value is None else (value,), 0.1)
        size = Measurement(1000.0 + number, None, (1000.0 + number,), 0.0)
        measurements = {"toy_score": score, "params": size, "macs": size}
        run.journal.append(Trial(number, "search", problem.sample(rng), measurements, {"elapsed": float(number)}))
    return run

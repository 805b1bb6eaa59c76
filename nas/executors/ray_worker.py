"""What runs on the nodes of a Ray cluster: an actor that measures batches for as long as the search lasts."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from evaluators import Measurement, Metric
from nas.executors.base import Evaluation
from nas.executors.files import Packed, unpack
from searchspaces import get_space, spaces


@dataclass(frozen=True)
class Surroundings:
    """What a worker needs to know what the driver knows: where modules are found, and which have search spaces."""

    paths: Sequence[str]
    modules: Sequence[str]

    @classmethod
    def here(cls) -> Surroundings:
        """Return those of this process."""
        return cls(tuple(sys.path), tuple({type(get_space(name)).__module__ for name in spaces.names()}))

    def enter(self) -> None:
        """Make them those of this process as well; what this node does not have is left out."""
        sys.path += [path for path in self.paths if path not in sys.path and os.path.exists(path)]
        for module in self.modules:
            with suppress(ImportError):
                import_module(module)


class Worker:
    """A process with one thread that keeps what metrics load (weights, images) between batches."""

    def __init__(self, surroundings: Surroundings) -> None:
        surroundings.enter()
        # Before torch is imported, which happens when a metric needs it: 64 workers that need none start at once.
        os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
        self._folders: dict[str, str] = {}

    def versions(self) -> Mapping[str, str]:
        """Return the versions on this node; the first answer also says that the worker has started."""
        from nas.config import versions

        return versions()

    def place(self, packed: Packed) -> None:
        """Make a folder of the driver known here; it is written only where this node does not see it."""
        self._folders[packed.name] = unpack(packed)

    def run(self, evaluations: Sequence[Evaluation]) -> tuple[list[Measurement], float]:
        """Return one measurement per evaluation, and the wall-clock seconds they took."""
        start = time.perf_counter()
        metrics: dict[int, Metric] = {}
        found = []
        for evaluation in evaluations:
            metric = evaluation.metric
            local = metrics.setdefault(id(metric), self._here(metric)) if self._folders else metric
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)
            found.append(Evaluation(local, evaluation.architecture, evaluation.repeat).run())
        return found, time.perf_counter() - start

    def _here(self, metric: Metric) -> Metric:
        """Return the metric reading the folders of this node."""
        settings: Any = metric.settings
        changed = {
            key: self._folders[value]
            for key, value in settings
            if isinstance(value, str) and self._folders.get(value, value) != value
        }
        return type(metric)(settings.model_copy(update=changed)) if changed else metric

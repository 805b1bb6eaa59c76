"""All metrics of a search at once: each network is measured once, and looked up when it comes again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evaluators import Measurement, Metric
from evaluators.metric import combine, measure_once
from nas.executors import Evaluation, Executor
from searchspaces import Architecture

Measurements = Mapping[str, Measurement]


class Evaluator:
    """Measures architectures by a set of metrics over an executor.

    Static metrics cost less than sending them away and are computed here.

    Args:
        metrics: name to metric.
        known: what a journal already holds; it is not computed again.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        executor: Executor,
        known: Mapping[Architecture, Measurements] | None = None,
    ) -> None:
        self.metrics = dict(metrics)
        self._executor = executor
        self._known: dict[Architecture, Measurements] = dict(known or {})

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Measurements]:
        """Yield the measurements of each architecture in order, as soon as they are known."""
        new = [a for a in dict.fromkeys(architectures) if a not in self._known]
        quick, trained = self._sent(training=False), self._sent(training=True)
        results = self._executor.map(list(_evaluations(new, quick))) if quick else iter(())
        if trained and quick:  # first, since trainings may need the room of the workers
            results = iter(list(results))
        trainings = self._executor.map_trainings(list(_evaluations(new, trained))) if trained and new else iter(())
        for architecture in architectures:
            if architecture not in self._known:
                sent = {m.name: combine([next(results) for _ in range(m.repeats)]) for m in quick}
                sent |= {m.name: combine([next(trainings) for _ in range(m.repeats)]) for m in trained}
                static = {n: combine([measure_once(m, architecture, 0)]) for n, m in self.metrics.items() if m.static}
                self._known[architecture] = {name: {**static, **sent}[name] for name in self.metrics}
            yield self._known[architecture]

    def _sent(self, training: bool) -> list[Metric]:
        """Return the metrics that workers measure: the quick ones, or those that train networks."""
        return [m for m in self.metrics.values() if not m.static and m.training is training]


def _evaluations(architectures: Sequence[Architecture], metrics: Sequence[Metric]) -> Iterator[Evaluation]:
    for architecture in architectures:
        for metric in metrics:
            for repeat in range(metric.repeats):
                yield Evaluation(metric, architecture, repeat)

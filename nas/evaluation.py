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
        results = self._executor.map(
            Evaluation(metric, architecture, repeat)
            for architecture in new
            for metric in self._sent()
            for repeat in range(metric.repeats)
        )
        for architecture in architectures:
            if architecture not in self._known:
                sent = {m.name: combine([next(results) for _ in range(m.repeats)]) for m in self._sent()}
                static = {n: combine([measure_once(m, architecture, 0)]) for n, m in self.metrics.items() if m.static}
                self._known[architecture] = {name: {**static, **sent}[name] for name in self.metrics}
            yield self._known[architecture]

    def _sent(self) -> list[Metric]:
        return [metric for metric in self.metrics.values() if not metric.static]

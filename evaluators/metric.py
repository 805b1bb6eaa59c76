"""What can be optimised, constrained or printed: a name, a direction, and a value per architecture or a reason."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from evaluators.settings import Settings, parse_settings
from searchspaces import Architecture, NasError, Registry

Direction = Literal["maximize", "minimize"]


class MetricFailure(Exception):
    """A value that could not be had for one architecture; the message is the reason."""


@dataclass(frozen=True)
class Measurement:
    """The value of one metric for one architecture, or the reason why there is none.

    Args:
        value: mean over the repeats; None exactly when `failure` is set.
        failure: the reason, or None.
        repeats: the value of every repeat.
        seconds: thread CPU time spent.
    """

    value: float | None
    failure: str | None = None
    repeats: tuple[float, ...] = ()
    seconds: float = 0.0

    @property
    def spread(self) -> float:
        """Sample standard deviation over the repeats; 0 for a single one."""
        if self.value is None or len(self.repeats) < 2:
            return 0.0
        return math.sqrt(sum((x - self.value) ** 2 for x in self.repeats) / (len(self.repeats) - 1))


class Metric:
    """Base of all metrics. A new one sets the class attributes and writes `measure`.

    Attributes:
        name: the word that selects it.
        direction: which way is better.
        unit: of the value, "" for a pure number.
        static: exact and cheap (well under a millisecond once warm), so that strategies check constraints on it
            before an architecture is evaluated at all.
        training: one repeat is a whole training, which a scheduler may watch and end early.
        grows: whether the network with the first choice everywhere has the smallest value of its space; asked of
            static metrics only.
        Settings: its options; the defaults are the documented ones.
    """

    name: ClassVar[str]
    direction: ClassVar[Direction]
    unit: ClassVar[str] = ""
    static: ClassVar[bool] = False
    training: ClassVar[bool] = False
    grows: ClassVar[bool] = True
    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, settings: BaseModel | None = None) -> None:
        self.settings: Any = settings if settings is not None else self.Settings()

    @property
    def repeats(self) -> int:
        """Independent repeats per architecture: the setting `repeats`, or 1 where a metric has none.

        The value is their mean. Workers share them out.
        """
        return int(getattr(self.settings, "repeats", 1))

    def measure(self, architecture: Architecture, repeat: int) -> float:
        """Return the value of one repeat; equal arguments and settings give the same bits on one machine.

        Raises:
            MetricFailure: with the reason, if there is no value.
        """
        raise NasError(f"the metric {self.name!r} does not say how it is measured")


def measure_once(metric: Metric, architecture: Architecture, repeat: int) -> Measurement:
    """Return one repeat as a measurement; whatever goes wrong becomes a failure with its reason, never a number."""
    start = time.thread_time()
    value, failure = None, None
    try:
        value = float(metric.measure(architecture, repeat))
        if not math.isfinite(value):
            value, failure = None, f"{metric.name} is not finite ({value})"
    except MetricFailure as error:
        failure = str(error)
    except Exception as error:  # a broken network must not end a search: the reason is kept with the trial
        failure = f"{type(error).__name__}: {error}"
    seconds = time.thread_time() - start
    return Measurement(value, failure, () if value is None else (value,), seconds)


def combine(parts: Sequence[Measurement]) -> Measurement:
    """Return the measurement of an architecture from those of its repeats; one failed repeat fails it."""
    seconds = sum(part.seconds for part in parts)
    for part in parts:
        if part.failure is not None:
            return Measurement(None, part.failure, (), seconds)
    values = tuple(value for part in parts for value in part.repeats)
    return Measurement(math.fsum(values) / len(values), None, values, seconds)


def evaluate(metric: Metric, architectures: Sequence[Architecture]) -> list[Measurement]:
    """Return one measurement per architecture, computed here, one after the other."""
    return [combine([measure_once(metric, a, r) for r in range(metric.repeats)]) for a in architectures]


metrics: Registry[type[Metric]] = Registry("metric", "nas.metrics")


def register_metric(cls: type[Metric]) -> type[Metric]:
    """Class decorator: make a metric known under its `name`."""
    return metrics.register(cls.name)(cls)


def get_metric(name: str, settings: Mapping[str, Any] | None = None) -> Metric:
    """Return the metric called `name` with these settings over its defaults.

    Raises:
        NasError: an unknown name or setting; close names are listed.
    """
    cls = metrics.get(name)
    return cls(parse_settings(cls.Settings, settings or {}, name))

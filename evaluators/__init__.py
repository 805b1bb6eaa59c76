"""What an architecture is worth: metrics, training-free proxies, training and its recipes."""

from evaluators.metric import (
    Measurement,
    Metric,
    MetricFailure,
    evaluate,
    get_metric,
    metrics,
    register_metric,
)
from evaluators.settings import Settings, parse_settings

from evaluators import cost, proxies  # isort: skip  # register their metrics; need the names above
from evaluators.supernet import metric as supernet_metric  # isort: skip

__all__ = [
    "Measurement",
    "Metric",
    "MetricFailure",
    "Settings",
    "cost",
    "evaluate",
    "get_metric",
    "metrics",
    "parse_settings",
    "proxies",
    "register_metric",
    "supernet_metric",
]

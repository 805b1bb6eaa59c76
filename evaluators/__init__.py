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

from evaluators import accelerator, cost, hardware, proxies  # isort: skip  # register their metrics; need the names above
from evaluators.supernet import metric as supernet_metric  # isort: skip
from evaluators.training import accuracy  # isort: skip

__all__ = [
    "Measurement",
    "Metric",
    "MetricFailure",
    "Settings",
    "accelerator",
    "accuracy",
    "cost",
    "evaluate",
    "get_metric",
    "hardware",
    "metrics",
    "parse_settings",
    "proxies",
    "register_metric",
    "supernet_metric",
]

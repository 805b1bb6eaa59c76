"""What the targets of a search say about a network, as plain values for documents and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evaluators.hardware import QUANTITIES, HardwareMetric
from hardware import Estimate, Quantity, UnsupportedError
from searchspaces import Architecture

if TYPE_CHECKING:
    from nas.config import SearchConfig


def predicted_costs(config: SearchConfig, architecture: Architecture) -> list[dict[str, Any]]:
    """Return what each target of the search predicts for a network, with the stated errors.

    One entry per target, batch size and precision, in the order the search names them; a network that the target
    cannot run has the reason in place of the values.
    """
    asked = [metric for metric in config.make_metrics().values() if isinstance(metric, HardwareMetric)]
    distinct = {(m.target, m.settings.batch_size, m.settings.precision): m for m in reversed(asked)}
    return [_entry(metric, architecture) for metric in reversed(distinct.values())]


def _entry(metric: HardwareMetric, architecture: Architecture) -> dict[str, Any]:
    try:
        return costs_of(metric.estimate(architecture))
    except UnsupportedError as error:
        return {"target": metric.target, "unsupported": str(error)}


def costs_of(estimate: Estimate) -> dict[str, Any]:
    """Return latency, energy and memory of an estimate as plain JSON values; what is unknown is left out."""
    found: dict[str, Any] = {
        "target": estimate.target,
        "batch_size": estimate.batch_size,
        "precision": estimate.precision,
    }
    for name in QUANTITIES:
        said: Quantity | None = getattr(estimate, name)
        if said is not None:
            found[name] = quantity_of(said)
    return found


def quantity_of(said: Quantity) -> dict[str, Any]:
    """Return one number with what is known of its error."""
    return {
        "value": said.value,
        "basis": said.basis,
        "error": said.error,
        "interval": None if said.interval is None else list(said.interval),
        "coverage": None if said.interval is None else said.coverage,
        "note": said.note,
    }


def error_text(said: dict[str, Any]) -> str:
    """Return the stated error for people.

    >>> error_text({"error": 0.081, "interval": [1.2, 1.9], "coverage": 0.8})
    '8.1 %; 80 % within 1.2 to 1.9'
    """
    parts = [] if said["error"] is None else [f"{100 * said['error']:.2g} %"]
    if said["interval"] is not None:
        low, high = said["interval"]
        parts.append(f"{100 * said['coverage']:.0f} % within {low:.4g} to {high:.4g}")
    return "; ".join(parts) or "not known"

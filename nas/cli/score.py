"""`nas score`: metrics of given networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.console import AsJson, print_json, print_table, read_architecture
from nas.cli.describe import FILE_HELP

if TYPE_CHECKING:
    from evaluators import Measurement, Metric


def score(
    file: Annotated[list[str], typer.Argument(help=FILE_HELP)],
    metric: Annotated[list[str], typer.Option(help="Metric; may repeat. See `nas metrics`.")] = ["length", "ntk"],  # noqa: B006
    seed: Annotated[int, typer.Option(min=0, help="Seed of every metric.")] = 0,
    image_size: Annotated[int | None, typer.Option(help="Measure at this image size, pixels.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Setting of a metric, such as length.repeats=3; may repeat.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes; 0: one per core.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Measure networks: value, spread over repeats and seconds per metric; one JSON object per file and line."""
    from evaluators import parse_settings
    from nas.config import SearchConfig
    from nas.evaluation import Evaluator
    from nas.executors import make_executor
    from nas.overrides import parse_overrides
    from searchspaces import Architecture

    config = parse_settings(SearchConfig, {"seed": seed, "workers": workers, "metrics": parse_overrides(setting or [])})
    for name in config.metrics:  # settings of a metric that is not asked for are checked as well
        config.make_metric(name)
    chosen = {name: config.make_metric(name) for name in dict.fromkeys(metric)}
    networks: list[Architecture] = [read_architecture(text) for text in file]
    if image_size is not None:
        networks = [network.replace(image_size=image_size) for network in networks]
    failed = False
    rows: list[tuple[object, ...]] = []
    with make_executor("inline" if workers == 1 else "processes", config.worker_count) as executor:
        for name, network, found in zip(file, networks, Evaluator(chosen, executor).evaluate(networks), strict=True):
            failed |= any(measurement.failure for measurement in found.values())
            if as_json:
                values = {key: _plain(chosen[key], measurement) for key, measurement in found.items()}
                print_json({"file": name, "space": network.space, "seed": seed, "metrics": values})
            for key, m in found.items():
                rows.append(
                    (name, key, "-" if m.value is None else m.value, m.spread, len(m.repeats), m.seconds, m.failure)
                )
    if not as_json:
        print_table(("file", "metric", "value", "spread", "repeats", "CPU seconds", "failure"), rows)
    if failed:
        raise typer.Exit(1)


def _plain(metric: Metric, measurement: Measurement) -> dict[str, Any]:
    return {
        "value": measurement.value,
        "spread": measurement.spread,
        "repeats": list(measurement.repeats),
        "seconds": measurement.seconds,
        "failure": measurement.failure,
        "direction": metric.direction,
        "unit": metric.unit,
    }

"""`nas predict`: what networks cost on devices, by the predictors of the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.console import AsJson, print_json, print_table, read_network, say

if TYPE_CHECKING:
    from hardware import Estimate, Network

NETWORK_HELP = "Architecture file, published name (asvit_small), genotype string, or timm:NAME."
File = Annotated[str, typer.Argument(help=NETWORK_HELP)]
Targets = Annotated[list[str], typer.Option("--target", help="Device; may repeat. See `nas targets`.")]
BatchSize = Annotated[int | None, typer.Option(help="Images in one pass. [default: of the target]")]
Precision = Annotated[str | None, typer.Option(help="Such as fp16 or int8. [default: of the target]")]
ImageSize = Annotated[int | None, typer.Option(help="Side of the input, pixels. [default: of the network]")]


def predict(
    file: File,
    target: Targets,
    batch_size: BatchSize = None,
    precision: Precision = None,
    image_size: ImageSize = None,
    operators: Annotated[bool, typer.Option("--operators", help="Break down by operator, not by block.")] = False,
    as_json: AsJson = False,
) -> None:
    """Predict latency, energy and memory of a network on devices, with the stated errors and a breakdown."""
    from hardware import UnsupportedError, get_target

    chosen = [get_target(name) for name in dict.fromkeys(target)]
    for one in chosen:
        one.settle(batch_size, precision)
    network = read_network(file, image_size)
    found: list[dict[str, Any]] = []
    failed = False
    for one in chosen:
        try:
            estimate = one.estimate(network, batch_size, precision)
        except UnsupportedError as error:
            failed = True
            found.append({"target": one.name, "unsupported": str(error)})
            say(f"{one.name}: {error}")
            continue
        found.append(estimate_as_dict(estimate))
        if not as_json:
            _show(file, network, estimate, operators)
    if as_json:
        print_json({"file": file, "targets": found})
    if failed:
        raise typer.Exit(1)


def estimate_as_dict(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate whole, as plain JSON values."""
    from nas.costs import costs_of

    breakdown = [{"name": s.name, "kind": s.kind, "ms": s.latency_ms, "bound": s.bound} for s in estimate.breakdown]
    return {**costs_of(estimate), "details": dict(estimate.details), "breakdown": breakdown}


def _show(file: str, network: Network, estimate: Estimate, operators: bool) -> None:
    from evaluators.hardware import QUANTITIES
    from nas.costs import error_text, quantity_of

    rows: list[tuple[object, ...]] = []
    for name, (unit, _) in QUANTITIES.items():
        said = getattr(estimate, name)
        word = name.partition("_")[0]
        if said is None:
            rows.append((word, "", "", "not known", "", ""))
        else:
            rows.append((word, said.value, unit, said.basis, error_text(quantity_of(said)), said.note))
    images = "1 image" if estimate.batch_size == 1 else f"{estimate.batch_size} images"
    title = f"{file} on {estimate.target}, {network.image_size} px, {images}, {estimate.precision}"
    print_table(("", "value", "unit", "basis", "mean error; interval", "note"), rows, title)
    if estimate.breakdown:
        total = estimate.latency_ms.value
        parts = [(*key, ms, 100 * ms / total, bound) for key, (ms, bound) in _grouped(estimate, operators).items()]
        print_table(("where", "what", "ms", "%", "mostly bound by"), parts, "Latency")
    if estimate.details:
        print_table(("detail", "value"), estimate.details)


def _grouped(estimate: Estimate, operators: bool) -> dict[tuple[str, str], tuple[float, str]]:
    """Return (place, kind) to milliseconds and what bounds most of them; kinds are told apart by operator only."""
    from hardware.graph.places import place_of

    bounds: dict[tuple[str, str], dict[str, float]] = {}
    for share in estimate.breakdown:
        key = (share.name, share.kind) if operators else (place_of(share.name), "")
        times = bounds.setdefault(key, {})
        times[share.bound] = times.get(share.bound, 0.0) + share.latency_ms
    if not operators:
        kinds = {key: _kinds(estimate, key[0]) for key in bounds}
        bounds = {(key[0], kinds[key]): times for key, times in bounds.items()}
    return {key: (sum(times.values()), max(times, key=lambda b: times[b])) for key, times in bounds.items()}


def _kinds(estimate: Estimate, place: str) -> str:
    """Return the two kinds that take most of a place, with their shares of it."""
    from hardware.graph.places import place_of

    times: dict[str, float] = {}
    for share in estimate.breakdown:
        if place_of(share.name) == place:
            times[share.kind] = times.get(share.kind, 0.0) + share.latency_ms
    whole = sum(times.values()) or 1.0
    most = sorted(times, key=lambda kind: -times[kind])[:2]
    return ", ".join(f"{kind} {100 * times[kind] / whole:.0f} %" for kind in most)

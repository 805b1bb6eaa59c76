"""`nas measure`: a network run on the device of this machine, beside what the predictor said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.console import AsJson, print_json, print_table, read_network, say
from nas.cli.predict import BatchSize, File, ImageSize, Precision

if TYPE_CHECKING:
    from hardware import Estimate


def measure(
    file: File,
    target: Annotated[str, typer.Option(help="Device that is at hand; see `nas targets`.")],
    batch_size: BatchSize = None,
    precision: Precision = None,
    image_size: ImageSize = None,
    as_json: AsJson = False,
) -> None:
    """Measure a network on this machine's device and compare with the prediction."""
    from hardware import UnsupportedError, get_target
    from nas.costs import costs_of
    from searchspaces import NasError

    device = get_target(target)
    size, chosen = device.settle(batch_size, precision)
    network = read_network(file, image_size)
    try:
        measured = device.measure(network, size, chosen)
    except UnsupportedError as error:
        if as_json:
            print_json({"file": file, "target": target, "unsupported": str(error)})
        say(f"{target}: {error}")
        raise typer.Exit(1) from error
    predicted, reason = None, None
    try:
        predicted = device.estimate(network, size, chosen)
    except NasError as error:  # a device that was never profiled can be measured all the same
        reason = str(error)
    rows = _rows(measured, predicted)
    if as_json:
        said = None if predicted is None else costs_of(predicted)
        compared = {row["quantity"]: row["difference"] for row in rows if row["difference"] is not None}
        whole = {"measured": costs_of(measured), "predicted": said, "no_prediction": reason, "difference": compared}
        print_json({"file": file, "target": target, **whole})
        return
    shown = [
        (
            row["quantity"],
            row["measured"],
            "" if row["predicted"] is None else row["predicted"],
            "" if row["difference"] is None else f"{100 * row['difference']:+.1f} %",
            row["inside"],
        )
        for row in rows
    ]
    title = f"{file} on {target}, batch {size}, {chosen}"
    print_table(("", "measured", "predicted", "prediction off by", "inside its interval"), shown, title)
    if reason is not None:
        say(f"no prediction: {reason}")


def _rows(measured: Estimate, predicted: Estimate | None) -> list[dict[str, Any]]:
    """Return one mapping per measured quantity; the difference is relative to what was measured."""
    from evaluators.hardware import QUANTITIES

    rows = []
    for name in QUANTITIES:
        real = getattr(measured, name)
        said = None if predicted is None else getattr(predicted, name)
        if real is None or real.basis != "measured":  # what a model adds to a measurement is compared with nothing
            continue
        inside = ""
        if said is not None and said.interval is not None:
            low, high = said.interval
            inside = "yes" if low <= real.value <= high else "no"
        rows.append(
            {
                "quantity": name,
                "measured": real.value,
                "predicted": None if said is None else said.value,
                "difference": None if said is None or real.value == 0 else said.value / real.value - 1.0,
                "inside": inside,
            }
        )
    return rows

"""`nas describe`: one network in numbers and as a drawing."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli.console import AsJson, print_json, read_architecture

FILE_HELP = "Architecture file, published name (asvit_small) or genotype string."


def describe(file: Annotated[str, typer.Argument(help=FILE_HELP)], as_json: AsJson = False) -> None:
    """Show a network: its size, output, stages and choices."""
    from hardware import network_cost
    from searchspaces import get_space

    architecture = read_architecture(file)
    space = get_space(architecture.space)
    if as_json:
        cost = network_cost(architecture)
        print_json(
            {
                "space": architecture.space,
                "params": cost.params,
                "macs": cost.macs,
                "output_shape": list(cost.output_shape),
                "stages": space.stages(architecture),
                "choices": dict(architecture.choices),
                "image_size": architecture.image_size,
                "in_channels": architecture.in_channels,
                "num_classes": architecture.num_classes,
                "notation": space.notation(architecture),
            }
        )
        return
    from nas.report.drawing import terminal_drawing

    print(terminal_drawing(architecture))

"""`nas describe`: one network in numbers and as a drawing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import AsJson, print_json, read_architecture, read_network, say

FILE_HELP = "Architecture file, published name (asvit_small) or genotype string."


def describe(
    file: Annotated[str, typer.Argument(help=FILE_HELP)],
    graph: Annotated[
        Path | None, typer.Option(help="Draw the operators into this SVG file; also of timm:NAME.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a network: its size, output, stages and choices; with --graph its operators as a drawing."""
    if graph is not None:
        _draw_graph(file, graph, as_json)
        return
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


def _draw_graph(file: str, path: Path, as_json: bool) -> None:
    from hardware.graph import operator_graph
    from nas.report.graph import graph_svg
    from searchspaces import NasError, write_text

    if path.suffix != ".svg":
        raise NasError(f"graph={str(path)!r} must be the name of an SVG file, such as graph.svg")
    drawn = operator_graph(read_network(file))
    write_text(path, graph_svg(drawn, file))
    operators = [operator for _, operator in drawn.nodes(data="operator")]
    if as_json:
        sums = {"params": sum(o.params for o in operators), "macs": sum(o.macs for o in operators)}
        print_json({"graph": str(path), "operators": len(operators), "edges": drawn.number_of_edges(), **sums})
    else:
        say(f"{len(operators)} operators, {drawn.number_of_edges()} edges")
        print(path)

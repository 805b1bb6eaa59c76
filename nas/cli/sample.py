"""`nas sample`: networks drawn uniformly from a space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import AsJson, print_json


def sample(
    space: Annotated[str, typer.Option(help="Search space.")] = "asvit",
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many networks.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the files; made if needed.")] = Path("samples"),
    image_size: Annotated[int, typer.Option(help="Side of the input, pixels.")] = 224,
    num_classes: Annotated[int, typer.Option(help="Outputs of the classifier.")] = 1000,
    constraint: Annotated[list[str] | None, typer.Option(help="Bound, such as 'params<=2e6'; may repeat.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write N architecture files drawn uniformly, all different."""
    import numpy as np

    from evaluators import parse_settings
    from nas.config import SearchConfig
    from searchspaces import Architecture, NasError

    values = {"space": space, "image_size": image_size, "num_classes": num_classes, "constraint": constraint or []}
    config = parse_settings(SearchConfig, values)
    problem = config.problem()
    rng = np.random.default_rng(seed)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NasError(f"out={str(out)!r} cannot be made: {error.strerror}") from error
    seen: set[Architecture] = set()
    files = []
    for index in range(n):
        architecture = problem.draw_new(lambda: problem.sample(rng), seen)
        if architecture is None:
            raise NasError(f"number={n}: only {index} different networks could be drawn; they are in {out}")
        provenance = {"sampled": {"seed": seed, "index": index}}
        path = out / f"{space}-{seed}-{index:04d}.json"
        architecture.replace(provenance=provenance).write(path)
        files.append(str(path))
    if as_json:
        print_json({"files": files})
    else:
        print("\n".join(files))

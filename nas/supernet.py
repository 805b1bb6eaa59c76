"""The super-network of a run: loaded where one is given, trained into the run where none is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.rundir import RunDirectory
from searchspaces import Architecture, NasError


def prepare_supernet(run: RunDirectory, say: Callable[[str], None]) -> None:
    """Make sure that the super-network the metrics read is there and fits; does nothing where none is read.

    Training goes on where a killed run left it.

    Args:
        say: is given a line for people now and then.

    Raises:
        NasError: a super-network of another space or of other images, or data that cannot be had.
    """
    config = run.config
    if not config.needs_supernet:
        return
    directory = Path(str(config.supernet))
    from evaluators.supernet import supernet_recipe_for, train_supernet
    from evaluators.supernet.stored import is_finished

    if directory != run.path / "supernet" or is_finished(directory):
        _require_fit(run, directory)
        return
    overrides = {"seed": config.seed, "image_size": config.image_size, **config.supernet_recipe}
    recipe = supernet_recipe_for(str(config.data), overrides)
    say(f"train    a super-network of {config.space} on {config.data}, {recipe.epochs} epochs, rule {recipe.rule}")
    train_supernet(
        config.space,
        str(config.data),
        directory,
        recipe,
        data_dir=config.data_dir,
        resume=True,
        progress=lambda line: say(_line(line, recipe.epochs)),
    )


def _require_fit(run: RunDirectory, directory: Path) -> None:
    from evaluators.supernet.stored import read_description

    there = Architecture.from_dict(read_description(directory)["architecture"])
    for key in ("space", "image_size", "in_channels", "num_classes"):
        mine, other = getattr(run.config, key), getattr(there, key)
        if mine != other:
            raise NasError(f"supernet={str(directory)!r} has {key}={other!r}, the search {key}={mine!r}")


def _line(record: dict[str, Any], epochs: int) -> str:
    parts = [f"epoch {record['epoch']}/{epochs}"]
    parts += [f"{key.replace('_', ' ')} {value:.4g}" for key, value in record.items() if _is_shown(key, value)]
    return "  ".join(parts)


def _is_shown(key: str, value: Any) -> bool:
    return isinstance(value, float) and (key == "loss" or "accuracy" in key)

"""`nas spaces`, `nas metrics`, `nas strategies`: what there is to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.console import AsJson, print_json, print_table

if TYPE_CHECKING:
    from evaluators import Settings
    from searchspaces import SearchSpace


def spaces(
    name: Annotated[str | None, typer.Argument(help="One space, in full.")] = None, as_json: AsJson = False
) -> None:
    """List the search spaces; with NAME one space's dimensions, choices, conditions and exact size."""
    from searchspaces import get_space
    from searchspaces import spaces as registry

    if name is None:
        rows = [_space(get_space(known)) for known in registry.names()]
        if as_json:
            print_json([{key: row[key] for key in ("name", "size", "published")} for row in rows])
        else:
            shown = [
                (row["name"], f"{row['size']:,}", len(row["dimensions"]), ", ".join(row["published"])) for row in rows
            ]
            print_table(("space", "networks", "dimensions", "published networks"), shown)
        return
    space = _space(get_space(name))
    if as_json:
        print_json(space)
        return
    dimensions = [
        (
            d["name"],
            d["allowed"],
            d["active_when"] or "always",
            "" if d["searched"] else f"set, {d['default']}",
            d["meaning"],
        )
        for d in space["dimensions"]
    ]
    title = f"{name}: {space['size']:,} networks, images of {space['image_sizes'][0]} to {space['image_sizes'][1]} px"
    if space["image_step"] > 1:
        title += f", multiples of {space['image_step']}"
    print_table(("dimension", "choices, small to large", "active when", "default", "meaning"), dimensions, title)


def _space(space: SearchSpace) -> dict[str, Any]:
    dimensions = [
        {
            "name": dimension.name,
            "choices": list(dimension.choices),
            "allowed": dimension.allowed(),
            "active_when": None
            if dimension.active_when is None
            else f"{dimension.active_when[0]} in {list(dimension.active_when[1])}",
            "searched": dimension.searched,
            "default": dimension.default,
            "meaning": dimension.meaning,
        }
        for dimension in space.dimensions
    ]
    return {
        "name": space.name,
        "size": space.size(),
        "image_sizes": list(space.image_sizes),
        "image_step": space.image_step,
        "dimensions": dimensions,
        "published": sorted(space.published()),
    }


def metrics(as_json: AsJson = False) -> None:
    """List the metrics with every setting and its default; settings go below `metrics:` in a YAML file."""
    from evaluators import metrics as registry
    from evaluators.hardware import QUANTITIES, HardwareSettings

    listed: dict[str, dict[str, Any]] = {}
    for name in registry.names():
        cls = registry.get(name)
        about = (cls.__doc__ or "").split("\n")[0]
        own = {"direction": cls.direction, "unit": cls.unit, "static": cls.static, "meaning": about}
        listed[name] = {**own, "settings": _settings(cls.Settings)}
    for family, (unit, meaning) in QUANTITIES.items():
        own = {"direction": "minimize", "unit": unit, "static": None, "meaning": f"{meaning}; see `nas targets`"}
        listed[f"{family}@TARGET"] = {**own, "settings": _settings(HardwareSettings)}
    _print_options("metric", listed, as_json)


def strategies(as_json: AsJson = False) -> None:
    """List the search strategies with every option and its default."""
    from nas.strategies import strategies as registry

    listed: dict[str, dict[str, Any]] = {}
    for name in registry.names():
        cls = registry.get(name)
        listed[name] = {"meaning": (cls.__doc__ or "").split("\n")[0], "settings": _settings(cls.Settings)}
    _print_options("strategy", listed, as_json)


def _settings(cls: type[Settings]) -> dict[str, dict[str, Any]]:
    return {
        name: {"default": field.get_default(call_default_factory=True), "meaning": field.description or ""}
        for name, field in cls.model_fields.items()
    }


def _print_options(kind: str, listed: dict[str, dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(listed)
        return
    rows: list[tuple[object, ...]] = []
    for name, entry in listed.items():
        rows.append((name, "", str(entry.get("direction", "")), entry["meaning"]))
        rows += [("", key, str(setting["default"]), setting["meaning"]) for key, setting in entry["settings"].items()]
    print_table((kind, "setting", "default", "meaning"), rows)

"""Everything that decides what a search does: flags, YAML keys, presets, and the resolved whole."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from evaluators import Metric, Settings, get_metric, metrics, parse_settings
from evaluators.hardware import HardwareMetric
from evaluators.supernet import supernet_recipe_for
from nas import __version__
from nas.executors import ExecutorOptions, available_cores, executors
from nas.executors.ray_cluster import parse_resources
from nas.expressions import Constraint, Objective, parse_constraint, parse_duration
from nas.presets import preset_values
from nas.problem import Problem
from nas.scaling.settings import ScalingSettings
from nas.strategies import strategies
from nas.trial import Phase
from searchspaces import NasError, get_space, unknown_name, write_text

# Keys that may differ when a run is continued: none of them changes a trial.
_OF_RAY = ("ray_address", "resources", "max_retries", "timeout_per_trial", "connect_timeout")
_FREE_KEYS = ("out", "workers", "executor", "config", "storage", *_OF_RAY)
_SIZES = ("image_size", "in_channels", "num_classes")


class SearchConfig(Settings):
    """A search, resolved. Every field is a flag of `nas search` and a key of its YAML file."""

    space: str = Field(default="asvit", description="search space; see `nas spaces`")
    preset: str = Field(default="quick", description="named set of defaults: quick or paper")
    strategy: str = Field(default="evolution", description="random, evolution, reinforce, optuna:tpe, ...")
    strategy_options: dict[str, Any] = Field(default={}, description="options of the strategy")
    trials: int | None = Field(
        default=None,
        ge=1,
        description="networks to evaluate in the search, before scaling; None: until the budget ends",
    )
    budget: str | None = Field(default=None, description="wall-clock limit of the whole run, such as 10m; None: none")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="of the strategy and of every metric")
    out: str | None = Field(default=None, description="run directory; None: a new one below runs/")
    workers: int = Field(default=0, ge=0, description="worker processes; 0: one per core")
    executor: str = Field(default="processes", description="processes, inline or ray")
    ray_address: str | None = Field(default=None, description="auto, HOST:PORT or ray://HOST:PORT; None: a local Ray")
    resources: str = Field(default="cpu=1", description="of a worker on Ray, such as gpu=0.25")
    max_retries: int = Field(default=2, ge=0, description="further tries after a worker died or hung")
    timeout_per_trial: str | None = Field(default=None, description="a worker is hung after this, such as 10m")
    connect_timeout: str = Field(default="30s", description="within which a Ray cluster must answer")
    storage: str | None = Field(default=None, description="folder or URL of trainings; None: training/ in the run")
    epochs: int | None = Field(default=None, ge=1, description="of each training, for the metric accuracy")
    stop_early: str | None = Field(default=None, description="asha or hyperband: end poor trainings early, on Ray")
    image_size: int = Field(default=224, description="side of the networks' input, pixels")
    in_channels: int = Field(default=3, description="channels of the networks' input")
    num_classes: int = Field(default=1000, description="outputs of the networks")
    maximize: list[str] = Field(default=[], description="metrics to maximise")
    minimize: list[str] = Field(default=[], description="metrics to minimise")
    constraint: list[str] = Field(default=[], description="bounds on every network, such as params<=30e6")
    batch_size: int | None = Field(default=None, ge=1, description="images in one pass, for every target of the search")
    precision: str | None = Field(default=None, description="such as fp16 or int8, for every target of the search")
    metrics: dict[str, dict[str, Any]] = Field(default={}, description="metric name to its settings")
    data: str | None = Field(default=None, description="data set the networks are for; their sizes follow from it")
    data_dir: str | None = Field(default=None, description="folder of the data")
    supernet: str | None = Field(
        default=None, description="directory of a trained super-network; None: one is trained in the run, where needed"
    )
    supernet_recipe: dict[str, Any] = Field(default={}, description="keys of the super-network's recipe")
    no_scale: bool = Field(default=False, description="stop after the search; do not scale the winner")
    scale_to: str | None = Field(default=None, description="bound up to which the winner is scaled")
    scaling: dict[str, Any] = Field(default={}, description="settings of the scaling")

    @property
    def objectives(self) -> list[Objective]:
        """The objectives: those maximised first."""
        return [
            *(Objective(metric, "maximize") for metric in self.maximize),
            *(Objective(metric, "minimize") for metric in self.minimize),
        ]

    @property
    def constraints(self) -> list[Constraint]:
        """The parsed constraints."""
        return [parse_constraint(text) for text in self.constraint]

    @property
    def budget_seconds(self) -> float | None:
        """The wall-clock limit in seconds."""
        return None if self.budget is None else parse_duration(self.budget)

    @property
    def worker_count(self) -> int:
        """Worker processes; where it is open one per core, or 0, one per slot, of a Ray cluster that is joined."""
        if self.executor == "inline":
            return 1
        joins = self.executor == "ray" and (self.ray_address or os.environ.get("RAY_ADDRESS"))
        return self.workers or (0 if joins else available_cores())

    @property
    def executor_options(self) -> ExecutorOptions:
        """How workers are had and when they are given up."""
        timeout = self.timeout_per_trial
        return ExecutorOptions(
            max_retries=self.max_retries,
            timeout_seconds=None if timeout is None else parse_duration(timeout, "timeout_per_trial"),
            ray_address=self.ray_address,
            resources=self.resources,
            connect_timeout=parse_duration(self.connect_timeout, "connect_timeout"),
        )

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of every network."""
        return {"image_size": self.image_size, "in_channels": self.in_channels, "num_classes": self.num_classes}

    @property
    def scaling_settings(self) -> ScalingSettings:
        """The settings of the scaling, whole."""
        return parse_settings(ScalingSettings, self.scaling, "scaling")

    @property
    def needs_supernet(self) -> bool:
        """Whether a metric of the search reads a super-network."""
        return any("checkpoint" in metric.Settings.model_fields for metric in self.make_metrics().values())

    @property
    def trains(self) -> bool:
        """Whether a metric of the search trains networks."""
        return any(metric.training for metric in self.make_metrics().values())

    @property
    def scales(self) -> bool:
        """Whether the winner is scaled."""
        return not self.no_scale and self.scale_to is not None

    def problem(self, phase: Phase = "search") -> Problem:
        """Return what a phase looks for: the objectives of the search, or the measures of the scaling."""
        static = {name: metric for name, metric in self.make_metrics().items() if metric.static}
        objectives = self.objectives
        if phase == "scale":
            measures = self.scaling_settings.measures
            objectives = [Objective(name, metrics.get(name).direction) for name in measures]
        return Problem(
            space=get_space(self.space),
            sizes=self.sizes,
            objectives=objectives,
            constraints=[c for c in self.constraints if phase == "search" or c.metric in static],
            static_metrics=frozenset(static),
            growing_metrics=frozenset(name for name, metric in static.items() if metric.grows),
            static_value=lambda name, architecture: static[name].measure(architecture, 0),
        )

    def make_metrics(self) -> dict[str, Metric]:
        """Return every metric of the search: those of objectives and constraints, and always `params` and `macs`."""
        names = [objective.metric for objective in self.objectives]
        names += [constraint.metric for constraint in self.constraints] + ["params", "macs"]
        if self.scales:
            names.append(parse_constraint(str(self.scale_to), "scale_to").metric)
            if self.scaling_settings.stop_at is not None:
                names.append(parse_constraint(self.scaling_settings.stop_at, "scaling.stop_at").metric)
        return {name: self.make_metric(name) for name in dict.fromkeys(names)}

    def make_metric(self, name: str, **overrides: Any) -> Metric:
        """Return one metric with its settings; seed, data and super-network are those of the search unless set."""
        settings = dict(self.metrics.get(name, {}))
        of_the_search = {
            "seed": self.seed,
            "data": self.data,
            "data_dir": self.data_dir,
            "checkpoint": self.supernet,
            "epochs": self.epochs,
            "storage": self.storage,
            "stop_early": self.stop_early,
        }
        if issubclass(metrics.get(name), HardwareMetric):
            of_the_search = {"batch_size": self.batch_size, "precision": self.precision}
        for key, value in of_the_search.items():
            if key in metrics.get(name).Settings.model_fields and value is not None:
                settings.setdefault(key, value)
        return get_metric(name, {**settings, **overrides})

    def check(self) -> SearchConfig:
        """Return the configuration if everything it names exists and fits together.

        Raises:
            NasError: naming the key, the value and what would be right.
        """
        space = get_space(self.space)
        space.smallest(**self.sizes)
        strategies.get(self.strategy)
        parse_settings(strategies.get(self.strategy).Settings, self.strategy_options, "strategy_options")
        executors.get(self.executor)
        parse_resources(self.executor_options.resources)
        if self.stop_early not in (None, "asha", "hyperband"):
            raise unknown_name("stop_early", str(self.stop_early), ("asha", "hyperband"))
        if self.stop_early and self.executor != "ray":
            raise NasError(f"stop_early={self.stop_early!r} needs Ray Tune; add --executor ray")
        for name in self.metrics:
            self.make_metric(name)
        if not self.objectives:
            raise NasError("nothing to optimise; give --maximize METRIC or --minimize METRIC")
        named = [objective.metric for objective in self.objectives]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise NasError(f"the metric {twice[0]!r} is an objective twice; name each one once")
        self.make_metrics()
        if self.needs_supernet:
            if self.data is None:
                raise NasError("a super-network needs images; give --data digits, or --data NAME --data-dir FOLDER")
            supernet_recipe_for(self.data, self.supernet_recipe)
        if self.trials is None and self.budget_seconds is None:
            raise NasError("the search would never end; give --trials N or --budget TIME")
        if self.scales:
            self.scaling_settings.check()
            for name in self.scaling_settings.measures:
                self.make_metric(name)
            bound = parse_constraint(str(self.scale_to), "scale_to")
            if bound.comparison != "<=" or not metrics.get(bound.metric).static:
                right = "an upper bound on params or macs, or on a predicted cost"
                raise NasError(f"scale_to={self.scale_to!r} must be {right}")
            known = {dimension.name for dimension in space.dimensions}
            if not {"width", "stage1.depth"} <= known:
                raise NasError(f"scale_to={self.scale_to!r}: networks of {self.space} have no width and depth to scale")
        return self


def resolve(flags: Mapping[str, Any], file: str | Path | None = None) -> SearchConfig:
    """Return the configuration: the preset's defaults, over them the YAML file, over them the flags.

    Args:
        flags: key to value; None means not given.

    Raises:
        NasError: unknown keys or values; close names are listed.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    written = read_yaml(file) if file is not None else {}
    values = merge(written, given)
    if values.get("budget") is not None and "trials" not in values:
        values["trials"] = None  # whoever gives a time wants it used
    # An objective given anywhere replaces those of the preset; the two lists belong together.
    base = preset_values(str(values.get("space", "asvit")), str(values.get("preset", "quick")))
    if values.get("maximize") or values.get("minimize"):
        base = {**base, "maximize": [], "minimize": []}
    if values.get("strategy", base.get("strategy")) != base.get("strategy"):
        base = {key: value for key, value in base.items() if key != "strategy_options"}
    merged = merge(base, values)
    merged = _with_training(merged)
    if merged.get("data") is not None:  # its sizes win over those of a preset, not over those that were given
        merged = {key: value for key, value in merged.items() if key not in _SIZES or key in values}
        merged = {**_sizes_of_data(merged), **merged}
    return parse_settings(SearchConfig, merged).check()


def _with_training(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with what follows from them: trainings have data, and only Ray Tune ends them early."""
    named = {*values.get("maximize", ()), *values.get("minimize", ())} & set(metrics.names())
    follow = {"data": "digits"} if any(metrics.get(name).training for name in named) else {}
    if values.get("stop_early") is not None:
        follow["executor"] = "ray"
    return {**follow, **values}


def _sizes_of_data(values: Mapping[str, Any]) -> dict[str, int]:
    """Return image size, channels and classes of the data set that the configuration names."""
    from evaluators.training.data import load_data

    wanted = {"image_size": values["image_size"]} if "image_size" in values else {}
    recipe = supernet_recipe_for(str(values["data"]), {**values.get("supernet_recipe", {}), **wanted})
    splits = load_data(str(values["data"]), values.get("data_dir"), recipe.for_training())
    return {
        "image_size": splits.image_size,
        "in_channels": splits.in_channels,
        "num_classes": splits.num_classes,
    }


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `over` on top; mappings are merged key by key."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; the `versions` a run keeps are not part of it.

    Raises:
        NasError: if the file cannot be read or is no mapping.
    """
    try:
        loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise NasError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NasError(f"{path}: not a YAML document: {' '.join(str(error).split())}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise NasError(f"{path}: a configuration is a mapping of keys to values, not {type(loaded).__name__}")
    return {str(key): value for key, value in loaded.items() if key != "versions"}


def write_config(config: SearchConfig, path: Path) -> None:
    """Write the resolved configuration with the versions it ran with."""
    plain = {**config.model_dump(), "versions": versions()}
    write_text(path, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def versions() -> dict[str, str]:
    """Return the versions that may change a number."""
    found = {"nas": __version__, "python": platform.python_version()}
    for package in ("torch", "timm", "optuna", "numpy", "scipy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def differing_key(a: SearchConfig, b: SearchConfig) -> str | None:
    """Return the first key in which two configurations ask for different trials, or None."""
    for key in SearchConfig.model_fields:
        if key not in _FREE_KEYS and getattr(a, key) != getattr(b, key):
            return key
    return None

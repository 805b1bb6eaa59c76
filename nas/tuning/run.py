"""The directory of a tuning run, and running it: training recipes of one network, tried by OptunaSearch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from evaluators import Settings, parse_settings
from evaluators.training.accuracy import Accuracy, AccuracySettings
from evaluators.training.recipe import Recipe, recipe_for
from nas.executors.base import Evaluation, ExecutorOptions
from nas.rundir import hold, is_held
from nas.tuning.recipes import recipe_keys, search_space
from searchspaces import Architecture, NasError, write_text

CONFIG, TRIALS, BEST = "tuning.json", "trials.jsonl", "best_recipe.json"
FORMAT = "nas.tuning/1"
_PRIME = 1_000_003


class TuningConfig(Settings):
    """A tuning run, resolved."""

    data: str = Field(default="digits", description="data set, as for `nas train`")
    data_dir: str | None = None
    trials: int = Field(default=20, ge=1, description="recipes to try")
    epochs: int | None = Field(default=None, ge=1, description="of each training; None: of the recipe")
    seed: int = Field(default=0, ge=0, description="of the searcher and of every training")
    stop_early: str | None = Field(default="asha", description="asha, hyperband, or None: every training to its end")
    storage: str = Field(description="folder or URL of the checkpoints")
    recipe: dict[str, Any] = Field(default={}, description="keys of the recipe that stay as they are")


class TuningRun:
    """A folder with ``tuning.json`` (what is tuned), ``trials.jsonl`` (a line when a trial begins, one when it ends),
    ``best_recipe.json`` and, unless it is kept elsewhere, ``training/`` with checkpoints. Nothing in it is pickled.
    """

    def __init__(self, path: Path, config: TuningConfig, architecture: Architecture) -> None:
        self.path, self.config, self.architecture = path, config, architecture
        storage = config.storage
        self._storage = storage if "://" in storage else str(Path(storage).absolute())  # workers are elsewhere

    @classmethod
    def is_one(cls, path: str | Path) -> bool:
        """Whether a folder holds a tuning run."""
        return (Path(path) / CONFIG).is_file()

    @classmethod
    def create(cls, path: Path, config: TuningConfig, architecture: Architecture) -> TuningRun:
        """Return a new run.

        Raises:
            NasError: if the folder is not empty or cannot be made.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise NasError(f"out={str(path)!r} is not empty; continue a run there with: nas resume {path}")
        except OSError as error:
            raise NasError(f"out={str(path)!r} cannot be made: {error.strerror}") from error
        plain = {"format": FORMAT, "architecture": architecture.to_dict(), "config": config.model_dump()}
        write_text(path / CONFIG, json.dumps(plain, indent=2) + "\n")
        return cls(path, config, architecture)

    @classmethod
    def open(cls, path: Path) -> TuningRun:
        """Return the run in a folder.

        Raises:
            NasError: if there is none, or its files are damaged.
        """
        try:
            plain = json.loads((path / CONFIG).read_text(encoding="utf-8"))
            if plain["format"] != FORMAT:
                raise NasError(f"{path / CONFIG}: is not of the format {FORMAT!r}")
            config = parse_settings(TuningConfig, plain["config"], "config")
            return cls(path, config, Architecture.from_dict(plain["architecture"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NasError(f"{path / CONFIG}: cannot be read: {error}") from error

    @property
    def base(self) -> Recipe:
        """The recipe around which is searched."""
        return recipe_for(self.config.data, self.config.recipe)

    def metric(self, chosen: dict[str, Any]) -> Accuracy:
        """Return the training of one point of the space."""
        c = self.config
        keys = {**c.recipe, **recipe_keys(self.base, chosen)}
        return Accuracy(
            AccuracySettings(
                data=c.data, data_dir=c.data_dir, epochs=c.epochs, seed=c.seed, recipe=keys, storage=self._storage
            )
        )

    def records(self) -> list[dict[str, Any]]:
        """Return the trials that ended, in that order; a line torn by a kill is passed over."""
        return [record for record in self._lines() if "accuracy" in record]

    def unfinished(self) -> list[dict[str, Any]]:
        """Return the points whose trials began and never ended."""
        ended = [record["chosen"] for record in self.records()]
        begun = [record["chosen"] for record in self._lines() if "accuracy" not in record]
        return [chosen for i, chosen in enumerate(begun) if chosen not in ended and chosen not in begun[:i]]

    def append(self, record: dict[str, Any]) -> None:
        """Write one line whole and flush it.

        Raises:
            NasError: if it cannot be written.
        """
        try:
            with open(self.path / TRIALS, "ab+") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
                torn = file.read(1) not in (b"", b"\n")
                file.write(b"\n" * torn + json.dumps(record).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise NasError(f"{self.path / TRIALS}: cannot be written: {error.strerror}") from error

    def best(self) -> dict[str, Any] | None:
        """Return the trial with the highest accuracy of those that were trained to their end; None without any."""
        whole = [record for record in self.records() if record["finished"]]
        return max(whole, key=lambda record: record["accuracy"]) if whole else None

    def status(self) -> dict[str, Any]:
        """Return how far it is, as plain values."""
        records, best = self.records(), self.best()
        return {
            "run": str(self.path),
            "state": "running" if is_held(self.path) else "finished" if self._is_complete() else "stopped",
            "phase": "tune",
            "trials": len(records),
            "planned": self.config.trials,
            "failed": sum(record["failure"] is not None for record in records),
            "ended_early": sum(not record["finished"] and record["failure"] is None for record in records),
            "best": None if best is None else {"accuracy": best["accuracy"], **best["chosen"]},
        }

    def _is_complete(self) -> bool:
        return len(self.records()) >= self.config.trials

    def run(self, options: ExecutorOptions, workers: int, say: Callable[[dict[str, Any]], None]) -> None:
        """Try recipes until there are as many as were asked for; those a killed run left go on first.

        Args:
            say: is given the record of each trial that ends.

        Raises:
            NasError: if Ray, the data or the storage cannot be used.
        """
        with hold(self.path):
            left = self.config.trials - len(self.records())
            for record in self._trials(options, workers, left) if left > 0 else ():
                self.append(record)
                say(record)
        if (best := self.best()) is not None:
            keys = recipe_keys(self.base, best["chosen"])
            write_text(self.path / BEST, json.dumps({**self.config.recipe, **keys}, indent=2) + "\n")

    def _trials(self, options: ExecutorOptions, workers: int, left: int) -> Iterator[dict[str, Any]]:
        import optuna
        from ray.tune.search.optuna import OptunaSearch

        from nas.tuning.trials import run

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        space = search_space(self.base)
        # The same seed would suggest what was begun before once more.
        seed = self.config.seed + _PRIME * len(self._lines())
        search = OptunaSearch(
            space, metric="accuracy", mode="max", seed=seed, points_to_evaluate=self.unfinished() or None
        )
        for record in self.records():
            failed = record["failure"] is not None or math.isnan(record["accuracy"])
            search.add_evaluated_point(record["chosen"], record["accuracy"], error=failed)
        metric, architecture, make = self.metric({}), self.architecture, self.metric
        for ended in run(
            lambda config: Evaluation(make(config), architecture, 0),
            options,
            metric=metric,
            stop_early=self.config.stop_early,
            concurrent=workers,
            search=search,
            samples=left,
            began=lambda chosen: self.append({"chosen": chosen}),
        ):
            told = ended.told
            failure = told.get("failure") or ("its worker died too often" if ended.lost else None)
            yield {
                "chosen": ended.config,
                "accuracy": told.get("value", told.get("accuracy", 0.0)),
                "epochs": told.get("epochs", 0),
                "finished": "value" in told,
                "failure": failure,
            }

    def _lines(self) -> list[dict[str, Any]]:
        found = []
        path = self.path / TRIALS
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

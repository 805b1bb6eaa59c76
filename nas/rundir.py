"""The run directory: what a search leaves behind, and everything needed to continue it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from evaluators import parse_settings
from nas.config import SearchConfig, differing_key, read_yaml, versions, write_config
from nas.costs import predicted_costs
from nas.journal import Journal, mend
from nas.trial import Trial
from searchspaces import Architecture, NasError, get_space

_LOCK, _TRIES = ".lock", 5


class RunDirectory:
    """A run on disk; one process at a time may search in it.

    Files: ``config.yaml`` the resolved configuration with versions; ``trials.journal`` every trial; ``best.json`` the
    winner; ``seed.json`` the seed topology it was scaled from; ``pareto/`` the front of the search; ``family/`` one
    network per accepted step of the scaling; ``supernet/`` where one was trained; ``report.html`` and ``plots/``.
    """

    def __init__(self, path: Path, config: SearchConfig) -> None:
        self.path = path
        if config.needs_supernet and config.supernet is None:
            config = config.model_copy(update={"supernet": str(path / "supernet")})
        if config.trains and config.storage is None:
            config = config.model_copy(update={"storage": str(path / "training")})
        self.config = config
        self._journal: Journal | None = None

    @classmethod
    def create(cls, path: str | Path, config: SearchConfig) -> RunDirectory:
        """Return a new run; the folder is made.

        Raises:
            NasError: if the folder holds a run with trials already, or something else, or cannot be made.
        """
        path = Path(path)
        if (path / "config.yaml").exists() and not _is_unused(path):
            there = cls.open(path).config
            if key := differing_key(there, cls(path, config).config):
                raise NasError(
                    f"out={str(path)!r} belongs to another configuration: {key}={getattr(there, key)!r} there, "
                    f"{getattr(config, key)!r} here; give another --out"
                )
            raise NasError(f"out={str(path)!r} holds this very run already; continue it with: nas resume {path}")
        try:
            path.mkdir(parents=True, exist_ok=True)
            occupied = any(path.iterdir()) and not (path / "config.yaml").exists()
        except OSError as error:
            raise NasError(f"out={str(path)!r} cannot be made: {error.strerror}") from error
        if occupied:
            raise NasError(f"out={str(path)!r} is not empty and holds no run; give another --out")
        write_config(config, path / "config.yaml")
        return cls(path, config)

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Return the run in a folder.

        Raises:
            NasError: if there is none, or its configuration cannot be read.
        """
        path = Path(path)
        if not (path / "config.yaml").is_file():
            raise NasError(f"{path} is not a run directory: it has no config.yaml")
        try:
            return cls(path, parse_settings(SearchConfig, read_yaml(path / "config.yaml")).check())
        except NasError as error:
            raise NasError(f"{path / 'config.yaml'}: {str(error).removeprefix(f'{path}/config.yaml: ')}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Claim the run for this process while the context lasts; the claim dies with the process.

        A journal line torn by a kill is dropped, with a warning.

        Raises:
            NasError: if another process searches in it, or the folder cannot be written.
        """
        with hold(self.path):
            mend(self.journal_path)
            yield

    @property
    def journal_path(self) -> Path:
        """Where the trials are; the file is not there before the first."""
        return self.path / "trials.journal"

    @property
    def journal(self) -> Journal:
        """The trials on disk."""
        if self._journal is None:
            problems = {"search": self.config.problem("search")}
            if self.config.scales:
                problems["scale"] = self.config.problem("scale")
            self._journal = Journal(self.journal_path, problems)  # type: ignore[arg-type]
        return self._journal

    def changed_versions(self) -> list[str]:
        """Return a line for each package whose version is not the one the run began with."""
        import yaml

        began = yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8")).get("versions", {})
        now = versions()
        return [f"{name} {began[name]} then, {now.get(name)} now" for name in began if began[name] != now.get(name)]

    def write_front(self, front: Sequence[Trial]) -> None:
        """Write ``pareto/``: one file per network of the front, in the order of the first objective."""
        self._write_folder("pareto", [(f"{i:03d}.json", self.document(trial)) for i, trial in enumerate(front)])

    def write_family(self, steps: Iterable[Trial]) -> None:
        """Write ``family/``: one file per accepted step of the scaling."""
        self._write_folder("family", [(f"step-{t.attributes['step']:03d}.json", self.document(t)) for t in steps])

    def write(self, name: str, trial: Trial) -> Path:
        """Write one architecture with its provenance and return the path."""
        self.document(trial).write(self.path / name)
        return self.path / name

    def document(self, trial: Trial) -> Architecture:
        """Return the architecture of a trial with where it came from."""
        space = get_space(self.config.space)
        provenance: dict[str, Any] = {
            "run": self.path.resolve().name,
            "seed": self.config.seed,
            "strategy": self.config.strategy,
            "phase": trial.phase,
            "trial": trial.number,
            "metrics": trial.values(),
        }
        if "proxy_width" in trial.attributes:
            provenance["measured_at_width"] = trial.attributes["proxy_width"]
        if costs := predicted_costs(self.config, trial.architecture):
            provenance["costs"] = costs
        if notation := space.notation(trial.architecture):
            provenance["notation"] = notation
        return trial.architecture.replace(provenance=provenance)

    def _write_folder(self, name: str, files: Sequence[tuple[str, Architecture]]) -> None:
        folder = self.path / name
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise NasError(f"{folder}: cannot be made: {error.strerror}") from error
        for file, architecture in files:
            architecture.write(folder / file)
        for stale in set(os.listdir(folder)) - {file for file, _ in files}:
            (folder / stale).unlink()


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Claim a run for this process while the context lasts; the claim dies with the process.

    Raises:
        NasError: if another process has it, or the folder cannot be written.
    """
    try:
        file = open(path / _LOCK, "w")  # noqa: SIM115  # closed below
    except OSError as error:
        raise NasError(f"{path}: cannot be written: {error.strerror}") from error
    with file:
        for _ in range(_TRIES):  # whoever asks `is_held` has it for a moment
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.02)
        else:
            raise NasError(f"{path} is being searched by another process; wait for it or end it")
        yield


def is_held(path: Path) -> bool:
    """Whether a process works in a run now."""
    try:
        with open(path / _LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _is_unused(path: Path) -> bool:
    """Whether a run ended before its first trial, for a bound nobody can meet, say."""
    journal = path / "trials.journal"
    return not journal.exists() or journal.stat().st_size == 0

"""The live view of a search on stderr: a bar where there is a terminal, a line now and then where there is none."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from nas.cli.console import format_value, say
from nas.config import SearchConfig
from nas.executors import Executor
from nas.study import Observer
from nas.trial import Phase, Trial

_EVERY = 10.0  # seconds between lines where there is no terminal


class SearchProgress(Observer):
    """Shows workers, candidates per second, the best so far, failures and the time left. A context manager."""

    def __init__(self, config: SearchConfig, executor: Executor) -> None:
        self._config = config
        self._executor = executor
        self._bar: Any = None
        self._task: Any = None
        self._phase: Phase = "search"
        self._total: int | None = None
        self._done = self._computed = self._failures = 0
        self._phase_started = self._said = self._started = time.monotonic()

    def __enter__(self) -> SearchProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description:<6}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True))
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def began(self, phase: Phase, total: int | None) -> None:
        """Start a bar for the phase."""
        self._phase, self._total = phase, total
        self._done = self._computed = 0
        self._phase_started = time.monotonic()
        if self._bar is not None:
            self._task = self._bar.add_task(phase, total=total, note="")

    def trial(self, trial: Trial, best: Trial | None, replayed: bool) -> None:
        """Advance."""
        self._done += 1
        if not replayed:
            # Workers take seconds to start: rates count from the first result.
            self._phase_started = self._phase_started if self._computed else time.monotonic()
            self._computed += 1
        self._failures += trial.failure is not None
        note = self._note(best)
        if self._bar is not None:
            self._bar.update(self._task, advance=1, note=note)
        elif time.monotonic() - self._said >= _EVERY:
            self._said = time.monotonic()
            say(f"{self._phase} {self._done}{f'/{self._total}' if self._total else ''}  {note}")

    def _note(self, best: Trial | None) -> str:
        seconds = max(time.monotonic() - self._phase_started, 1e-9)
        active = self._executor.active
        notes = [f"{active} worker{'s' * (active != 1)}"]
        notes.append(f"{(self._computed - 1) / seconds:.1f}/s" if self._computed > 1 else "starting")
        if best is not None:
            metric = self._config.objectives[0].metric if self._phase == "search" else "params"
            notes.append(f"best {metric}={format_value(best.value(metric))}")
        if self._failures:
            notes.append(f"{self._failures} failed")
        if (left := self._seconds_left(seconds)) is not None:
            notes.append(f"{left // 60:.0f}:{left % 60:02.0f} left")
        return "  ".join(notes)

    def _seconds_left(self, seconds: float) -> float | None:
        """Return the time to the end of the phase, or of the budget where that is nearer."""
        found = []
        if self._total is not None and self._computed > 1:
            found.append(seconds / (self._computed - 1) * (self._total - self._done))
        if self._config.budget_seconds is not None:
            found.append(max(0.0, self._config.budget_seconds - (time.monotonic() - self._started)))
        return min(found) if found else None

"""What Ray Tune tells of its trials while they run, and how it is told to stop. Imports Ray."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray import tune


@dataclass(frozen=True)
class Ended:
    """A trial that ended: its configuration, what it last reported, and whether it was given up."""

    config: dict[str, Any]
    told: dict[str, Any]
    lost: bool


class _Unpickled:
    """Ray Tune pickles what it is given, in case it is to be restored from that; these never are."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Watch(_Unpickled, tune.Callback):
    """Puts every trial that ends into a queue, and says which begin."""

    def __init__(self, ended: queue.Queue[Any], began: Callable[[dict[str, Any]], None]) -> None:
        self._ended, self._began = ended, began

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Say which configuration begins; again where a trial is begun again."""
        self._began(dict(trial.config))

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Pass it on, whether it came to its end or was ended early."""
        self._ended.put(Ended(dict(trial.config), dict(trial.last_result or {}), False))

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Pass on a trial that is given up; Ray Tune calls this for those only."""
        self._ended.put(Ended(dict(trial.config), dict(trial.last_result or {}), True))


class Stop(_Unpickled, tune.Stopper):
    """Ends every trial once the event is set."""

    def __init__(self, stopped: threading.Event) -> None:
        self._stopped = stopped

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._stopped.is_set()

    def stop_all(self) -> bool:
        """Whether to end everything."""
        return self._stopped.is_set()

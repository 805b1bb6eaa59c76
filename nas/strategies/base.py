"""What every strategy is: ask for architectures, tell what was measured; its state follows from seed and history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from evaluators.settings import Settings, parse_settings
from nas.problem import Problem
from nas.trial import Trial
from searchspaces import Architecture, Registry


class Strategy:
    """Base of all strategies. A new one writes `ask`, and `tell` if it learns.

    The study asks for `batch` architectures, tells the trials of all of them in the order asked, and asks again.
    Nothing but the seed and what was told may enter a decision, so that a run replayed from its journal continues
    as if it had never stopped, whatever the number of workers.

    Attributes:
        Settings: its options; the defaults are the documented ones.
    """

    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, problem: Problem, settings: BaseModel | None = None, seed: int = 0) -> None:
        self.problem = problem
        self.settings: Any = settings if settings is not None else self.Settings()
        self.seed = seed

    @property
    def batch(self) -> int:
        """How many architectures the study asks for at a time; part of the algorithm, not of the machine."""
        return 16

    def ask(self, n: int) -> list[Architecture]:
        """Return up to `n` legal architectures that meet the static constraints; an empty list ends the search."""
        raise TypeError(f"{type(self).__name__} does not say what it asks for")

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learn from the trials of the last `ask`, in its order; some may have failed."""

    def proposal(self) -> Architecture | None:
        """Return the network the strategy stands for at the end if it is more than the best trial; else None."""
        return None


strategies: Registry[type[Strategy]] = Registry("strategy", "nas.strategies")


def register_strategy(name: str) -> Any:
    """Class decorator: make a strategy known under `name`."""
    return strategies.register(name)


def make_strategy(name: str, problem: Problem, options: Mapping[str, Any], seed: int) -> Strategy:
    """Return the strategy called `name` with these options over its defaults.

    Raises:
        NasError: an unknown name or option; close names are listed.
    """
    cls = strategies.get(name)
    return cls(problem, parse_settings(cls.Settings, options, name), seed)

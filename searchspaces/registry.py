"""Families that a user selects by a word: spaces, metrics, strategies, executors."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from searchspaces.errors import unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects, filled by a decorator in this project and by entry points of installed packages.

    Args:
        kind: the word used in messages, such as ``"space"``.
        group: the entry point group third-party packages register in, such as ``"nas.spaces"``. An entry point
            names a module whose import runs the decorator.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, T] = {}
        self._families: dict[str, Callable[[str], T]] = {}
        self._plugins_loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that stores its object under `name`; registering a name twice is an error."""

        def store(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered already, by {self._entries[name]!r}")
            self._entries[name] = entry
            return entry

        return store

    def family(self, prefix: str) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
        """Return a decorator for the function that makes the object called ``prefix@WORD``, given the word.

        It is called each time; a name that is registered on its own comes first.
        """

        def store(make: Callable[[str], T]) -> Callable[[str], T]:
            self._families[prefix] = make
            return make

        return store

    def names(self) -> list[str]:
        """Return every known name, sorted, members of families left out; loads the entry points on first use."""
        self._load_plugins()
        return sorted(self._entries)

    def get(self, name: str) -> T:
        """Return the object called `name`.

        Raises:
            NasError: if there is none; the message lists close names.
        """
        if name not in self._entries:
            self._load_plugins()
        if name in self._entries:
            return self._entries[name]
        prefix, at, word = str(name).partition("@")
        if at and prefix in self._families:
            return self._families[prefix](word)
        raise unknown_name(self.kind, name, [*self._entries, *(f"{family}@..." for family in self._families)])

    def _load_plugins(self) -> None:
        if not self._plugins_loaded:
            self._plugins_loaded = True
            for entry_point in entry_points(group=self.group):
                entry_point.load()

"""The one error that a person sees as a sentence, and the wording of the most frequent mistake: an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NasError(ValueError):
    """A mistake the user can mend. The message names the argument, shows the value and says what would be right.

    The command line prints the message without a traceback and exits with status 2.
    """


def unknown_name(kind: str, name: object, known: Iterable[str]) -> NasError:
    """Return the error for a name that does not exist, listing close names first.

    >>> str(unknown_name("space", "asvitt", ["asvit", "t2t"]))
    "unknown space 'asvitt'; did you mean 'asvit'? Known: asvit, t2t"
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(match) for match in close)}?" if close else "."
    return NasError(f"unknown {kind} {name!r}{hint} Known: {', '.join(names) or 'none'}")

"""Numbers and times in words, the same on the page, in the plots and on the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

TIMES = "\N{MULTIPLICATION SIGN}"
NOTHING = "\N{EN DASH}"  # stands in a cell without a value
# Metrics that count things: 4.38 M reads better than 4.38e+06. All others are printed to four digits.
COUNTS = frozenset({"params", "macs"})
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: float) -> str:
    """Return a count with a prefix, to three digits.

    >>> count(4379764), count(1294533760), count(930)
    ('4.38 M', '1.29 G', '930')
    """
    for scale, prefix in _PREFIXES:
        if abs(value) >= scale * 0.9995:  # 999,600 is 1.00 M, not 1000 k
            scaled = value / scale
            digits = max(0, 2 - int(math.log10(max(1.0, abs(scaled) * 1.0005))))
            return f"{scaled:.{digits}f} {prefix}"
    return f"{value:g}"


def quantity(metric: str, value: float | None) -> str:
    """Return the value of a metric for people; a dash where there is none."""
    if value is None:
        return NOTHING
    return count(value) if metric in COUNTS else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return a time in the two largest units that matter.

    >>> duration(0.44), duration(75), duration(7320)
    ('0.4 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def plain(value: Any) -> str:
    """Return any value of a choice or a fact: lists with commas, whole floats without a point."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(plain(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def tokens_text(tokens: Any) -> str:
    """Return a number of tokens, as a grid where it is a square: 56 x 56."""
    if isinstance(tokens, int) and tokens > 0 and math.isqrt(tokens) ** 2 == tokens:
        side = math.isqrt(tokens)
        return f"{side}{TIMES}{side}"
    return plain(tokens)


def plural(number: int, noun: str) -> str:
    """Return ``1 network`` or ``3 networks``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

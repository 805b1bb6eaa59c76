"""One decision of a search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from searchspaces.errors import NasError

Value = bool | int | float | str


@dataclass(frozen=True)
class Dimension:
    """A named decision with its choices.

    Args:
        name: dotted name, such as ``stage1.kernel``.
        choices: allowed values **from the smallest to the largest network**; a `range` stands for its integers.
        active_when: ``(other dimension, values)``: the decision exists only while the other one has one of these
            values. The other dimension must come earlier in the space. None: always active.
        default: set for decisions that no search draws (they are set by scaling or by hand). A description that
            leaves such a decision out means this value.
        meaning: one line for people.
    """

    name: str
    choices: Sequence[Value]
    active_when: tuple[str, tuple[Value, ...]] | None = None
    default: Value | None = None
    meaning: str = ""

    @property
    def searched(self) -> bool:
        """Whether strategies draw this decision."""
        return self.default is None

    def is_active(self, choices: Mapping[str, Value]) -> bool:
        """Whether the decision exists beside these values of the earlier dimensions."""
        if self.active_when is None:
            return True
        other, values = self.active_when
        return other in choices and choices[other] in values

    def allowed(self) -> str:
        """Return the choices in words, for messages and tables."""
        if isinstance(self.choices, range):
            return f"{self.choices[0]} to {self.choices[-1]}"
        return ", ".join(str(choice) for choice in self.choices)

    def check(self, value: object) -> Value:
        """Return `value` if it is one of the choices, of the same type (True is not 1).

        Raises:
            NasError: otherwise, naming the dimension, the value and the allowed values.
        """
        if isinstance(self.choices, range):
            if type(value) is int and value in self.choices:
                return value
        else:
            for choice in self.choices:
                if type(choice) is type(value) and choice == value:
                    return choice
        raise NasError(f"{self.name}={value!r} is outside the space; choose one of {self.allowed()}")

"""A network as a reader sees it: what comes before the stages, the stages with their costs, what comes after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nas.report.wording import TIMES
from searchspaces import Architecture, NasError, SearchSpace, get_space


@dataclass(frozen=True)
class Section:
    """A stretch of the network.

    Args:
        name: such as ``stem`` or ``stage 2``.
        facts: what the space says about a stage (`tokens`, `dim`, `depth`, ...); empty for other stretches.
        params, macs: its cost, the step that enters it included; None where the space has no parts.
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    params: int | None = None
    macs: int | None = None

    def number(self, fact: str) -> float | None:
        """Return a fact as a number, the largest of a list; None if there is none to be had."""
        value = self.facts.get(fact)
        values = [
            item
            for item in (value if isinstance(value, list | tuple) else [value])
            if isinstance(item, int | float) and not isinstance(item, bool)
        ]
        return max(values, default=None)

    @property
    def depth(self) -> int:
        """Number of blocks; 1 where the space does not say."""
        return int(self.number("depth") or 1)


@dataclass(frozen=True)
class Anatomy:
    """What `anatomy` gives; `params` and `macs` are those of the whole network."""

    architecture: Architecture
    notation: str | None
    before: list[Section]
    stages: list[Section]
    after: list[Section]
    params: int | None
    macs: int | None

    @property
    def input(self) -> str:
        """The shape of the input in words."""
        architecture = self.architecture
        sizes = (architecture.in_channels, architecture.image_size, architecture.image_size)
        return TIMES.join(str(size) for size in sizes)


def anatomy(architecture: Architecture) -> Anatomy:
    """Return the network section by section.

    The first use in a process loads torch and traces each distinct part once (about 5 ms each).
    """
    space = get_space(architecture.space)
    stages = [Section(f"stage {i}", facts) for i, facts in enumerate(space.stages(architecture), 1)]
    costs = _costs_by_group(space, architecture)
    before: list[Section] = []
    after: list[Section] = []
    pending = (0, 0)  # cost of a step between two stages, which belongs to the stage it enters
    reached = 0
    if any(f"stage{i}" in costs for i in range(1, len(stages) + 1)):
        for group, (params, macs) in costs.items():
            number = next((i for i in range(1, len(stages) + 1) if group == f"stage{i}"), None)
            if number is not None:
                reached = number
                params, macs, pending = params + pending[0], macs + pending[1], (0, 0)
                stages[number - 1] = replace(stages[number - 1], params=params, macs=macs)
            elif reached == 0:
                before.append(Section(group, params=params, macs=macs))
            elif reached == len(stages):
                after.append(Section(group, params=params, macs=macs))
            else:
                pending = (pending[0] + params, pending[1] + macs)
    return Anatomy(architecture, space.notation(architecture), before, stages, after, *_total(architecture))


def _costs_by_group(space: SearchSpace, architecture: Architecture) -> dict[str, tuple[int, int]]:
    """Return (params, MACs) per first word of the dotted part names, in the order of the network."""
    from hardware import part_cost

    groups: dict[str, tuple[int, int]] = {}
    for part in space.parts(architecture) or []:
        cost = part_cost(part)
        group = part.name.split(".")[0]
        params, macs = groups.get(group, (0, 0))
        groups[group] = (params + cost.params, macs + cost.macs)
    return groups


def _total(architecture: Architecture) -> tuple[int | None, int | None]:
    from hardware import network_cost

    try:
        cost = network_cost(architecture)
    except NasError:  # a space that only describes its networks
        return None, None
    return cost.params, cost.macs

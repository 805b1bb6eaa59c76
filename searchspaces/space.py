"""What every search space offers: its dimensions, its size, and operators that only ever produce legal networks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from searchspaces.architecture import Architecture
from searchspaces.dimension import Dimension, Value
from searchspaces.errors import NasError, unknown_name
from searchspaces.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from searchspaces.part import Part


class SearchSpace:
    """Base of all spaces. A new one needs a name, its dimensions and `build`.

    Attributes:
        name: the word that selects the space.
        dimensions: the decisions in order; a condition refers to an earlier one.
        image_sizes: smallest and largest side of the input, pixels.
        image_step: the side is a multiple of this, as the bounds are.
    """

    name: str
    dimensions: Sequence[Dimension]
    image_sizes: tuple[int, int] = (32, 4096)
    image_step: int = 1

    # --- what a space may add -------------------------------------------------------------------------------

    def build(self, architecture: Architecture) -> nn.Module:
        """Return the freshly initialised torch model.

        The model maps (batch, channels, size, size) to (batch, classes), and its `forward_features` gives the
        (batch, features) pooled features before the last normalisation, which training-free proxies read.
        """
        raise NasError(f"the space {self.name!r} does not say how its networks are built")

    def parts(self, architecture: Architecture) -> list[Part] | None:
        """Return the network as a chain of parts, each fed by the one before; None if it is no such chain."""
        return None

    def stages(self, architecture: Architecture) -> list[dict[str, Any]]:
        """Return one mapping per stage (`tokens`, `dim`, `depth`, ...) for tables and drawings."""
        return []

    def published(self) -> dict[str, Architecture]:
        """Return the networks of the papers by name."""
        return {}

    def notation(self, architecture: Architecture) -> str | None:
        """Return the short form the literature writes such a network in, if there is one."""
        return None

    def from_notation(self, text: str, **sizes: int) -> Architecture:
        """Return the architecture of a text that `notation` gives; `sizes` as in `architecture`."""
        raise NasError(f"the space {self.name!r} has no short notation")

    def check(self, choices: Mapping[str, Value]) -> None:
        """Raise NasError for legal values that make no network together. Conditions cover the usual cases."""

    def authors_macs(self, architecture: Architecture, macs: int) -> int:
        """Return the count in the convention of the space's paper, given the plain count."""
        raise NasError(f"the space {self.name!r} has one MAC convention only; use convention=plain")

    # --- one description per network ------------------------------------------------------------------------

    @cached_property
    def searched(self) -> list[Dimension]:
        """The dimensions strategies draw."""
        return [dimension for dimension in self.dimensions if dimension.searched]

    def canonical(self, choices: Mapping[str, Value]) -> dict[str, Value]:
        """Return the validated choices with only the active dimensions, in the order of the space.

        Dimensions with a default are left out while all of them have it, so that a plain member of the space and
        its scaled relatives are both written one way only.

        Raises:
            NasError: an unknown dimension, a value outside its choices or a missing decision.
        """
        known = self._by_name
        for name in choices:
            if name not in known:
                raise unknown_name(f"dimension of {self.name}", name, known)
        active: dict[str, Value] = {}
        for dimension in self.dimensions:
            if not dimension.is_active(active):
                continue
            if dimension.name in choices:
                active[dimension.name] = dimension.check(choices[dimension.name])
            elif dimension.default is not None:
                active[dimension.name] = dimension.default
            else:
                raise NasError(f"the dimension {dimension.name!r} is missing; choose one of {dimension.allowed()}")
        return self._without_defaults(active)

    def _without_defaults(self, active: dict[str, Value]) -> dict[str, Value]:
        """Return legal values of all active dimensions in canonical form, after a look at their combination."""
        self.check(active)
        extras = [d for d in self._extras if d.name in active]
        if all(active[dimension.name] == dimension.default for dimension in extras):
            for dimension in extras:
                del active[dimension.name]
        return active

    def architecture(
        self, choices: Mapping[str, Value], image_size: int = 224, in_channels: int = 3, num_classes: int = 1000
    ) -> Architecture:
        """Return the validated architecture of these choices.

        Raises:
            NasError: for choices outside the space or sizes the space cannot take.
        """
        sizes = {"image_size": image_size, "in_channels": in_channels, "num_classes": num_classes}
        return self._sized(self.canonical(choices), sizes)

    def _sized(self, choices: Mapping[str, Value], sizes: Mapping[str, Any]) -> Architecture:
        """Return the architecture of canonical choices after a look at its sizes."""
        architecture = Architecture(self.name, choices, **sizes)
        image_size, in_channels, num_classes = _sizes(architecture).values()
        low, high = self.image_sizes
        step = self.image_step
        for name, value, least, most in (
            ("image_size", image_size, low, high),
            ("in_channels", in_channels, 1, 4096),
            ("num_classes", num_classes, 1, 1_000_000),
        ):
            if type(value) is not int or not least <= value <= most:
                kind = f"a multiple of {step}" if name == "image_size" and step > 1 else "an integer"
                raise NasError(f"{name}={value!r} cannot be taken by {self.name}; give {kind} from {least} to {most}")
        if step > 1 and image_size % step:
            below = image_size // step * step
            raise NasError(
                f"image_size={image_size} cannot be taken by {self.name}; give a multiple of {step}, such as "
                f"{below} or {below + step}"
            )
        return architecture

    def active_dimensions(self, architecture: Architecture) -> list[Dimension]:
        """Return the searched dimensions that exist in this architecture."""
        return [dimension for dimension in self.searched if dimension.name in architecture.choices]

    # The dimensions of a space never change, so what follows from them is worked out once.

    @cached_property
    def _by_name(self) -> dict[str, Dimension]:
        return {dimension.name: dimension for dimension in self.dimensions}

    @cached_property
    def _extras(self) -> list[Dimension]:
        return [dimension for dimension in self.dimensions if not dimension.searched]

    @cached_property
    def _plan(self) -> list[tuple[str, Dimension, Sequence[Value], int, str | None, tuple[Value, ...]]]:
        """Name, dimension, choices, their number, and the condition, of each dimension: what drawing reads."""
        return [
            (d.name, d, d.choices, len(d.choices), *(d.active_when if d.active_when is not None else (None, ())))
            for d in self.dimensions
        ]

    @cached_property
    def _rewrites_choices(self) -> bool:
        """Whether a subclass has a canonical form of its own, which values that are legal each must go through."""
        return (type(self).canonical, type(self).architecture) != (SearchSpace.canonical, SearchSpace.architecture)

    # --- counting and listing -------------------------------------------------------------------------------

    def size(self) -> int:
        """Return the exact number of distinct networks over the searched dimensions.

        Each dimension hangs on at most one earlier one, so the count is a product over trees.
        """
        children: dict[str, list[Dimension]] = {}
        for dimension in self.searched:
            if dimension.active_when is not None:
                children.setdefault(dimension.active_when[0], []).append(dimension)

        def count(dimension: Dimension) -> int:
            total = 0
            for value in dimension.choices:
                ways = 1
                for child in children.get(dimension.name, ()):
                    ways *= count(child) if child.is_active({dimension.name: value}) else 1
                total += ways
            return total

        product = 1
        for dimension in self.searched:
            if dimension.active_when is None:
                product *= count(dimension)
        return product

    def enumerate(self) -> Iterator[Architecture]:
        """Yield every network once. Meant for reduced spaces: see `size` first."""
        seen = set()
        for values in itertools.product(*(dimension.choices for dimension in self.searched)):
            raw = dict(zip((dimension.name for dimension in self.searched), values, strict=True))
            architecture = self.architecture(raw)
            if architecture not in seen:
                seen.add(architecture)
                yield architecture

    # --- operators ------------------------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator, **sizes: int) -> Architecture:
        """Return a network with every active decision drawn uniformly; `sizes` as in `architecture`."""
        return self._complete({}, rng, sizes)

    def mutate(self, architecture: Architecture, rng: np.random.Generator, probability: float = 0.3) -> Architecture:
        """Return a network in which each active decision was redrawn with this probability, to another value.

        Raises:
            NasError: if `probability` is outside (0, 1].
        """
        if not 0.0 < probability <= 1.0:
            raise NasError(f"probability={probability!r} must lie in (0, 1]")
        kept: dict[str, Value] = {}
        numbers = rng.random(2 * len(self.dimensions)).tolist()
        for dimension, redraw, number in zip(self.dimensions, numbers[::2], numbers[1::2], strict=True):
            if dimension.name not in architecture.choices:
                continue
            current = architecture.choices[dimension.name]
            if dimension.searched and redraw < probability:
                others = [choice for choice in dimension.choices if choice != current]
                current = others[int(number * len(others))] if others else current
            kept[dimension.name] = current
        return self._complete(kept, rng, _sizes(architecture))

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a child that takes each decision from either parent with equal odds.

        A decision only one parent has comes from that parent, and one that neither has is drawn.
        """
        chosen: dict[str, Value] = {}
        for name, number in zip(self._by_name, rng.random(len(self.dimensions)).tolist(), strict=True):
            first, second = (a, b) if number < 0.5 else (b, a)
            for parent in (first, second):
                if name in parent.choices:
                    chosen[name] = parent.choices[name]
                    break
        return self._complete(chosen, rng, _sizes(a))

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Return every network one decision away; decisions that this brings to life take their smallest value."""
        found: dict[Architecture, None] = {}
        for dimension in self.active_dimensions(architecture):
            for choice in dimension.choices:
                if choice != architecture.choices[dimension.name]:
                    changed = {**architecture.choices, dimension.name: choice}
                    found[self._complete(changed, None, _sizes(architecture))] = None
        return list(found)

    def largest(self, **sizes: int) -> Architecture:
        """Return the network with the last choice everywhere."""
        return self._extreme(-1, sizes)

    def smallest(self, **sizes: int) -> Architecture:
        """Return the network with the first choice everywhere."""
        return self._extreme(0, sizes)

    def _extreme(self, index: int, sizes: dict[str, int]) -> Architecture:
        choices: dict[str, Value] = {}
        for dimension in self.searched:
            if dimension.is_active(choices):
                choices[dimension.name] = dimension.choices[index]
        return self.architecture(choices, **sizes)

    def _complete(
        self, known: Mapping[str, Value], rng: np.random.Generator | None, sizes: dict[str, int]
    ) -> Architecture:
        """Return the network with the known decisions where they are active; the others drawn, or smallest."""
        # One call for all numbers: it takes less time than two single ones. floor(u * n) < n for every double u < 1.
        numbers = rng.random(len(self.dimensions)).tolist() if rng is not None else [0.0] * len(self.dimensions)
        choices: dict[str, Value] = {}
        for (name, dimension, values, count, other, active), number in zip(self._plan, numbers, strict=True):
            if other is not None and (other not in choices or choices[other] not in active):
                continue
            if name in known:
                choices[name] = dimension.check(known[name])
            elif dimension.default is not None:
                choices[name] = dimension.default
            else:
                choices[name] = values[int(number * count)]
        if self._rewrites_choices:
            return self.architecture(choices, **sizes)
        return self._sized(self._without_defaults(choices), sizes)


def _sizes(architecture: Architecture) -> dict[str, int]:
    return {
        "image_size": architecture.image_size,
        "in_channels": architecture.in_channels,
        "num_classes": architecture.num_classes,
    }


spaces: Registry[type[SearchSpace]] = Registry("space", "nas.spaces")


def register_space(cls: type[SearchSpace]) -> type[SearchSpace]:
    """Class decorator: make a space known under its `name`."""
    return spaces.register(cls.name)(cls)


_instances: dict[str, SearchSpace] = {}


def get_space(name: str) -> SearchSpace:
    """Return the space called `name`, from this project or an installed entry point of the group ``nas.spaces``.

    Raises:
        NasError: if there is none; the message lists close names.
    """
    if name not in _instances:
        _instances[name] = spaces.get(name)()
    return _instances[name]

"""From a predictor and a network to an estimate; what a part contributes is worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from hardware.estimate import Estimate, Quantity, Share
from hardware.fitted.energy import analytic_energy_mj
from hardware.fitted.features import COLUMNS, IMAGE, INDEX, MOVED, TIMED, WORK, Vector, operator_features
from hardware.fitted.memory import memory_mb
from hardware.fitted.predictor import Predictor
from hardware.network import Network, TimmNetwork, network_parts

if TYPE_CHECKING:
    from searchspaces import Part

_LAUNCH_NOTE = "one pass waits for its kernels to be started; that time was not measured on this device"
_RANGE_NOTE = "no pass of this size was among the measurements"
_ENERGY_NOTE = "45 nm operation and traffic energies, not this device: compare networks with it, nothing else"
_MEMORY_NOTE = "parameters and the largest operator, without what the library reserves"


@dataclass(frozen=True)
class PartSums:
    """What any predictor needs to know of one part.

    Args:
        names, kinds: of its operators.
        columns: of its operators, shape (operators, len(COLUMNS)).
        total: their sum, shape (len(COLUMNS),).
        peak: most numbers an operator holds for one image, with the part's own input.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    columns: Vector
    total: Vector
    peak: int


@lru_cache(maxsize=65536)
def part_sums(part: Part) -> PartSums:
    """Return the sums of one part; traced once per process."""
    from hardware.graph.assemble import part_operators

    operators = part_operators(part)
    rows = [operator_features(operator) for operator in operators]
    columns = np.array(rows).reshape(len(rows), len(COLUMNS))
    moved = columns[:, MOVED].sum(axis=1)
    peak = round(1e6 * float(moved.max(initial=0.0))) + prod(part.input_shape)
    names, kinds = tuple(o.name for o in operators), tuple(o.kind for o in operators)
    return PartSums(names, kinds, columns, columns.sum(axis=0), peak)


def network_columns(network: Network) -> Vector:
    """Return the columns of a network, shape (len(COLUMNS),)."""
    return _columns([part_sums(part) for part in network_parts(network)])


def _columns(sums: list[PartSums]) -> Vector:
    columns = np.add.reduce([part.total for part in sums])
    columns[INDEX["pass"]] = 1
    return np.asarray(columns)


def network_family(network: Network) -> str | None:
    """Return the first word of the name of a network of timm, as the measured families are called; None for others."""
    return network.name.split(".")[0].split("_")[0] if isinstance(network, TimmNetwork) else None


@dataclass(frozen=True)
class _Placed:
    """A part in its place, with the roofline of its operators: milliseconds per image, and once per pass."""

    sums: PartSums
    names: tuple[str, ...]
    image: Vector
    once: Vector
    launches: Vector
    bounds: tuple[str, ...]


class Estimator:
    """Estimates of one predictor under the name of a target."""

    def __init__(self, target: str, predictor: Predictor) -> None:
        self.target = target
        self.predictor = predictor
        self._scope = predictor.scope()
        self._parts: dict[tuple[str, Part], _Placed] = {}

    def estimate(self, network: Network, batch_size: int) -> Estimate:
        """Return latency with its interval, energy, memory and the shares of the operators."""
        predictor = self.predictor
        parts = [self._placed(part) for part in network_parts(network)]
        columns = _columns([part.sums for part in parts])
        predicted, spread = predictor.predict(columns[None], batch_size, [network_family(network)])
        latency = float(predicted[0])
        low, high = predictor.interval(predicted, spread)
        waiting = latency <= float(predictor.launching_ms(columns))
        quantity = self._latency(latency, (float(low[0]), float(high[0])), waiting, batch_size)
        params = 1e6 * columns[INDEX["params"]]
        memory = memory_mb(int(params), max(part.sums.peak for part in parts), batch_size, predictor.precision)
        return Estimate(
            target=self.target,
            batch_size=batch_size,
            precision=predictor.precision,
            latency_ms=quantity,
            energy_mj=self._energy(columns, latency, batch_size),
            memory_mb=Quantity(memory, "model", note=_MEMORY_NOTE),
            breakdown=_shares(parts, latency, waiting, float(predictor.sharing(batch_size))),
            details=(
                ("device", predictor.device),
                ("latency per image, ms", latency / batch_size),
                ("fitted on", self._scope),
            ),
        )

    def _latency(self, latency: float, interval: tuple[float, float], waiting: bool, batch_size: int) -> Quantity:
        basis = self.predictor.basis(latency, batch_size)
        if basis == "model":
            return Quantity(latency, basis, note=_LAUNCH_NOTE if waiting else _RANGE_NOTE)
        return Quantity(latency, basis, float(self.predictor.error["mape"]), interval)

    def _energy(self, columns: Vector, latency: float, batch_size: int) -> Quantity:
        """Return what the counter's fit says, or the analytic model where no counter was read."""
        macs, moved = 1e6 * columns[: len(WORK)].sum(), 1e6 * columns[MOVED].sum()
        params = 1e6 * columns[INDEX["params"]]
        fit = self.predictor.energy
        if fit is not None:
            return Quantity(fit.energy_mj(macs, moved, batch_size, latency), "fitted", fit.error)
        analytic = analytic_energy_mj(macs, moved, params, batch_size, self.predictor.precision)
        return Quantity(float(analytic), "model", note=_ENERGY_NOTE)

    def _placed(self, part: Part) -> _Placed:
        found = self._parts.get((part.name, part))
        if found is None:
            sums = part_sums(part)
            each = sums.columns[:, : len(TIMED)] * self.predictor.coefficients
            compute, memory, once = (group.sum(axis=1) for group in np.split(each, [len(WORK), IMAGE], axis=1))
            limits = np.argmax([compute, memory, once], axis=0)
            found = _Placed(
                sums=sums,
                names=tuple(f"{part.name}.{name}" if part.name else name for name in sums.names),
                image=compute + memory,
                once=once,
                launches=sums.columns[:, INDEX["launches"]],
                bounds=tuple(("compute", "memory", "launch")[index] for index in limits),
            )
            self._parts[part.name, part] = found
        return found


def _shares(parts: list[_Placed], latency: float, waiting: bool, images: float) -> tuple[Share, ...]:
    """Return what each operator takes; `images` share what a pass costs once, and its own cost is spread over all."""
    if waiting:
        times = np.concatenate([part.launches for part in parts])
    else:
        times = np.concatenate([images * part.image + part.once for part in parts])
    names = chain.from_iterable(part.names for part in parts)
    kinds = chain.from_iterable(part.sums.kinds for part in parts)
    bounds = repeat("launch") if waiting else chain.from_iterable(part.bounds for part in parts)
    return tuple(map(Share, names, kinds, (times * (latency / times.sum())).tolist(), bounds))

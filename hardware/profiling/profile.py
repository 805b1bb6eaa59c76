"""Measuring networks and their parts on the device at hand, and fitting its predictor to them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hardware.fitted.estimator import network_columns, part_sums
from hardware.fitted.features import INDEX, MOVED, WORK, Vector
from hardware.fitted.predictor import EnergyFit, Measured, Predictor
from hardware.fitted.samples import Samples
from hardware.fitted.train import launch_time, train
from hardware.fitted.transfer import transfer
from hardware.network import build_network, network_parts
from hardware.profiling.cache import profile_path
from hardware.profiling.counter import Energy
from hardware.profiling.device import conditions, device_name
from hardware.profiling.measure import energy_of, prepare
from hardware.profiling.timing import Timing, time_pass
from searchspaces import Architecture, NasError, Part, get_space

Say = Callable[[str], None]
_FEWEST = 6  # networks a predictor can be fitted to and checked on


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Args:
        spaces: names of the search spaces the networks are drawn from, in turn.
        networks: how many.
        batch_sizes: images in a pass; each network is measured at each.
        precision: of weights and images.
        image_size: side of the input, pixels; None for each space's own.
        seed: of the draws.
        seconds: to time each pass for, at least.
    """

    spaces: tuple[str, ...]
    networks: int
    batch_sizes: tuple[int, ...]
    precision: str
    image_size: int | None = None
    seed: int = 0
    seconds: float = 0.5


@dataclass(frozen=True)
class Profile:
    """A fitted predictor, where it is kept, and why energy is missing ("" where it is not)."""

    predictor: Predictor
    path: Path
    energy: str


@dataclass
class _Passes:
    """Passes as they are measured; network is its number, by which the folds are made."""

    columns: list[Vector]
    batch_size: list[int]
    pass_ms: list[float]
    groups: list[str]
    whole: list[bool]
    energy: list[Energy | str]

    def samples(self) -> Samples:
        return Samples(
            np.array(self.columns),
            np.array(self.batch_size, float),
            np.array(self.pass_ms),
            tuple(self.groups),
            np.array(self.whole),
        )


def profile(target: str, device: str, plan: Plan, source: Predictor | None = None, say: Say = print) -> Profile:
    """Measure, fit, and keep the predictor in the user's cache, where the target finds it.

    With each network one of its parts is measured by itself, which tells apart what networks of one space always have
    together. The stated error is of whole networks, each predicted without its own passes and its part's.

    Args:
        target: ``gpu-local`` or ``cpu-local``.
        device: as torch calls it, ``cuda`` or ``cpu``.
        source: predictor of a known device to start from, for which 30 networks are enough; only the largest batch
            of the plan counts then.
        say: told of every network.

    Raises:
        NasError: if too few networks are asked for.
    """
    if plan.networks < _FEWEST:
        raise NasError(f"networks={plan.networks} are too few to fit and check a predictor; take at least {_FEWEST}")
    passes = _measure(device, plan, say)
    samples = passes.samples()
    state = {**conditions(device), "date": datetime.date.today().isoformat(), "fitted_by": "nas profile"}
    state |= {"spaces": list(plan.spaces), "networks": plan.networks, "seed": plan.seed}
    if source is not None:
        assert samples.whole is not None
        chosen = samples.whole & (samples.batch_size == max(plan.batch_sizes))
        predictor = transfer(source, samples.take(chosen), device_name(device), plan.precision, state)
    else:
        predictor = _train(samples, device, plan, state)
    fit = _fit_energy(passes)
    if isinstance(fit, EnergyFit):
        predictor = replace(predictor, energy=fit)
    path = profile_path(device, plan.precision)
    predictor.write(path)
    return Profile(predictor, path, fit if isinstance(fit, str) else "")


def _train(samples: Samples, device: str, plan: Plan, state: dict[str, Any]) -> Predictor:
    """Fit; on a GPU kernels are started while others run, so launches bound a pass instead of adding to it."""
    launch = launch_time(samples) if device == "cuda" and min(plan.batch_sizes) == 1 else 0.0
    measured = Measured((min(plan.batch_sizes), max(plan.batch_sizes)))
    basis: Any = "fitted" if launch else "model"
    predictor = train(samples, device_name(device), plan.precision, measured, state, launch, basis)
    return replace(predictor, error={**predictor.error, "split": "5 folds by network"})


def _measure(device: str, plan: Plan, say: Say) -> _Passes:
    rng = np.random.default_rng(plan.seed)
    passes = _Passes([], [], [], [], [], [])
    for number, network in enumerate(_drawn(plan, rng), 1):
        label = str(number)
        parts = network_parts(network)
        part = parts[int(rng.integers(len(parts)))]
        shape = (network.in_channels, network.image_size, network.image_size)
        for size in plan.batch_sizes:
            run = prepare(build_network(network), shape, device, size, plan.precision)
            timing = time_pass(run.once, device, plan.seconds)
            energy = energy_of(run, device) if size == max(plan.batch_sizes) else ""
            _note(passes, network_columns(network), size, timing, label, True, energy)
            _note(passes, _part_columns(part), size, _time_part(part, device, size, plan), label, False, "")
            say(f"network {label} of {plan.networks} ({network.space}), batch {size}: {timing.latency_ms:.3f} ms")
    return passes


def _drawn(plan: Plan, rng: np.random.Generator) -> list[Architecture]:
    """Return the networks to measure, all different, from the spaces in turn."""
    found: dict[Architecture, None] = {}
    for attempt in range(100 * plan.networks):
        network = get_space(plan.spaces[attempt % len(plan.spaces)]).sample(rng)
        if plan.image_size is not None:
            network = network.replace(image_size=plan.image_size)
        found[network] = None
        if len(found) == plan.networks:
            return list(found)
    raise NasError(
        f"networks={plan.networks}: only {len(found)} different ones were drawn from {', '.join(plan.spaces)}"
    )


def _part_columns(part: Part) -> Vector:
    columns = part_sums(part).total.copy()
    columns[INDEX["pass"]] = 1
    return columns


def _time_part(part: Part, device: str, batch_size: int, plan: Plan) -> Timing:
    run = prepare(part.build(), part.input_shape, device, batch_size, plan.precision)
    return time_pass(run.once, device, plan.seconds)


def _note(
    passes: _Passes, columns: Vector, size: int, timing: Timing, group: str, whole: bool, energy: Energy | str
) -> None:
    passes.columns.append(columns)
    passes.batch_size.append(size)
    passes.pass_ms.append(timing.latency_ms)
    passes.groups.append(group)
    passes.whole.append(whole)
    passes.energy.append(energy)


def _fit_energy(passes: _Passes) -> EnergyFit | str:
    """Return energy per multiply-accumulate, byte and millisecond by non-negative least squares, or why not.

    The error is that of each network predicted from all others.
    """
    readings = [(i, e) for i, e in enumerate(passes.energy) if isinstance(e, Energy) and e.dynamic_mj > 0]
    reasons: Sequence[str] = [e for e in passes.energy if isinstance(e, str) and e]
    if len(readings) < _FEWEST:
        return reasons[0] if reasons else "unsupported: too few readings of the energy counter"
    chosen = [index for index, _ in readings]
    columns, size = np.array(passes.columns)[chosen], np.array(passes.batch_size, float)[chosen]
    causes = np.stack(
        [
            size * columns[:, : len(WORK)].sum(axis=1) / 1e3,
            size * 4 * columns[:, MOVED].sum(axis=1) / 1e3,
            np.array(passes.pass_ms)[chosen],
        ],
        axis=1,
    )
    used = np.array([energy.dynamic_mj for _, energy in readings])
    errors = [
        abs(causes[index] @ _weights(np.delete(causes, index, axis=0), np.delete(used, index)) / used[index] - 1)
        for index in range(len(used))
    ]
    per_gmac, per_gbyte, per_ms = map(float, _weights(causes, used))
    return EnergyFit(per_gmac, per_gbyte, per_ms, float(np.mean(errors)))


def _weights(causes: Vector, used: Vector) -> Vector:
    from scipy.optimize import nnls

    return np.asarray(nnls(causes / used[:, None], np.ones(len(used)))[0])

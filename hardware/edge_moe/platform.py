"""The constants of the accelerator and its board, each an option with its range."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from searchspaces import NasError, unknown_name

PUBLISHED_LATENCY_MS = 34.64  # Edge-MoE on the ZCU102: tables of UbiMoE and CoQMoE, which agree
PUBLISHED_POWER_W = 14.54
STATIC_POWER_W = 5.0  # processor system, DDR and leakage: an assumption, used for other builds than the shipped one


def _option(default: Any, meaning: str, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"meaning": meaning, "low": low, "high": high})


@dataclass(frozen=True)
class Platform:
    """Options of the model; the defaults are the shipped design at 300 MHz.

    Read in the shipped design: clock, widths, tiles, queries, barriers, outstanding requests. Fitted on the one
    published latency: `port_efficiency`. Engineering assumptions: every latency and pipeline depth.

    Raises:
        NasError: for a value outside its range, naming option, value and range.
    """

    clock_mhz: float = _option(300.0, "clock of the programmable logic, MHz", 1, 1000)
    axi_bits: int = _option(256, "width of the kernels' memory masters", 64, 1024)
    port_bits: int = _option(128, "width of the processor's memory ports behind them", 32, 1024)
    activation_bits: int = _option(32, "bits of an activation", 8, 64)
    weight_bits: int = _option(16, "bits of a parameter", 4, 32)
    pixel_bits: int = _option(8, "bits of a pixel", 4, 32)
    tile: int = _option(16, "inputs and outputs of the linear unit per cycle, Ti = To", 8, 128)
    queries: int = _option(4, "queries of the attention in flight, P", 1, 64)
    port_efficiency: float = _option(0.9, "eta, sustained share of a port's peak; the only fitted constant", 0.05, 1)
    barriers: bool = _option(True, "no overlap of weight loads with computing, except between experts")
    read_latency: int = _option(80, "cycles to the first beat of a read", 0, 10_000)
    write_latency: int = _option(64, "cycles to the response of a write", 0, 10_000)
    outstanding: int = _option(16, "requests in flight; scattered accesses are limited by them", 1, 1024)
    call: int = _option(10, "cycles of control per kernel call", 0, 10_000)
    linear_depth: int = _option(40, "pipeline depth of the linear unit, cycles", 0, 10_000)
    attention_depth: int = _option(60, "pipeline depth of the attention units, cycles", 0, 10_000)
    attention_finish: int = _option(40, "cycles to finish the softmax statistics", 0, 10_000)
    softmax_recurrence: int = _option(24, "latency of one update of the softmax statistics, cycles", 1, 1000)
    gate_interval: int = _option(3, "cycles per expert in the softmax of the gate", 1, 1000)
    gate_depth: int = _option(20, "cycles of the gate's products beyond streaming", 0, 10_000)
    gate_softmax: int = _option(25, "cycles of the gate's softmax beyond the experts", 0, 10_000)
    gate_finish: int = _option(80, "cycles for exponential and division of the winners", 0, 10_000)
    norm_accumulate: int = _option(15, "cycles of LayerNorm's sums beyond streaming", 0, 10_000)
    norm_sqrt: int = _option(20, "cycles of the square root", 0, 10_000)
    norm_divide: int = _option(58, "cycles of the division", 0, 10_000)
    norm_output: int = _option(20, "cycles of normalising beyond streaming", 0, 10_000)
    dsp: int = _option(2520, "DSP48E2 slices of the device", 1, 1_000_000)
    bram36: int = _option(912, "36-kilobit block memories of the device", 1, 1_000_000)
    ddr_gbs: float = _option(17.06, "peak of the memory shared by all ports, 10^9 bytes per second", 0.1, 10_000)
    active_fraction: float = _option(1.0, "share of the experts that get tokens, evenly", 0.001, 1)
    expert_load: tuple[int, ...] | None = _option(None, "tokens per expert in every expert layer, instead of evenly")

    weight_buffer: int = _option(147_456, "edge-moe-general: parameters kept on chip; larger layers run in pieces", 256)
    head_group: int = _option(8, "edge-moe-general: attention heads in flight; more of them run in groups", 1, 1024)

    def __post_init__(self) -> None:
        for option in dataclasses.fields(self):
            _check(option.name, getattr(self, option.name), option.default, option.metadata)
        if self.axi_bits % self.activation_bits:
            raise NasError(
                f"axi_bits={self.axi_bits} does not hold whole activations; give a multiple of "
                f"activation_bits={self.activation_bits}"
            )
        if self.tile % self.beat:
            raise NasError(f"tile={self.tile} must be a multiple of {self.beat}, the activations of one beat")

    @property
    def beat(self) -> int:
        """Activations of one beat, B."""
        return self.axi_bits // self.activation_bits

    @property
    def weights_per_beat(self) -> int:
        """Parameters of one beat."""
        return self.axi_bits // self.weight_bits

    @property
    def cycles_per_beat(self) -> float:
        """beta: cycles that a whole beat takes on a port."""
        return self.beats(self.axi_bits)

    @property
    def cycles_per_scattered_beat(self) -> float:
        """rho: cycles of a beat where each is a request of its own."""
        return max(self.cycles_per_beat, self.read_latency / self.outstanding)

    def beats(self, bits: int) -> float:
        """Return the cycles to move so many bits through one port, at least 1."""
        return max(1.0, bits / (self.port_bits * self.port_efficiency))

    def milliseconds(self, cycles: float) -> float:
        """Return the time of so many cycles."""
        return cycles / (self.clock_mhz * 1e3)

    def replace(self, **options: Any) -> Platform:
        """Return a copy with other options.

        Raises:
            NasError: an unknown option, close names listed, or a value outside its range.
        """
        return platform({**{o.name: getattr(self, o.name) for o in dataclasses.fields(self)}, **options})


def platform(options: Mapping[str, Any]) -> Platform:
    """Return the platform with these options over the defaults.

    >>> platform({"queries": 8}).queries
    8

    Raises:
        NasError: an unknown option, close names listed, or a value outside its range.
    """
    known = [option.name for option in dataclasses.fields(Platform)]
    for name in options:
        if name not in known:
            raise unknown_name("option of edge-moe", name, known)
    plain = dict(options)
    if isinstance(plain.get("expert_load"), list):
        plain["expert_load"] = tuple(plain["expert_load"])
    return Platform(**plain)


def describe_options() -> Iterator[tuple[str, Any, str]]:
    """Yield name, default and meaning of every option."""
    for option in dataclasses.fields(Platform):
        yield option.name, option.default, option.metadata["meaning"]


def _check(name: str, value: Any, default: Any, told: Mapping[str, Any]) -> None:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise NasError(f"{name}={value!r} must be true or false")
    elif default is None:
        whole = isinstance(value, tuple) and all(type(entry) is int and entry >= 0 for entry in value)
        if value is not None and not (whole and sum(value)):
            raise NasError(f"{name}={value!r} must be whole numbers of tokens, one per expert, not all zero")
    else:
        kinds = (int,) if isinstance(default, int) else (int, float)
        fits = type(value) in kinds and told["low"] <= value <= (told["high"] or math.inf) and value < math.inf
        if not fits:
            kind = "a whole number" if kinds == (int,) else "a number"
            most = "up" if told["high"] is None else f"to {told['high']}"
            raise NasError(f"{name}={value!r} must be {kind} from {told['low']} {most}")

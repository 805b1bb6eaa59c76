"""The operator table: measured kernels and the fitted factor, one file a processor, instruction set and TVM version."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hardware.profiling.cache import cache_folder
from hardware.tvm_int8.isa import Isa, processor
from hardware.tvm_int8.plan import Kernel
from searchspaces.architecture import write_text

FORMAT = "nas.tvm_table/1"


@dataclass(frozen=True)
class Fit:
    """What whole networks say of the sum of the table.

    Args:
        factor: time of a whole network for each second of the sum of its kernels, which were timed with warm caches.
        seconds_per_byte: what each byte of weights adds, as a whole network finds them cold.
        seconds_per_call: what calling a kernel adds.
        error: mean absolute relative error on networks it was not fitted to.
        networks: how many were measured.
        low, high: measured over predicted, between which nine tenths of the networks lie.
    """

    factor: float
    seconds_per_byte: float
    seconds_per_call: float
    error: float
    networks: int
    low: float
    high: float

    def seconds(self, summed: float, weight_bytes: int, calls: int) -> float:
        """Return the predicted time of a whole network."""
        return self.factor * summed + self.seconds_per_byte * weight_bytes + self.seconds_per_call * calls


def table_path(isa: Isa) -> Path:
    """Return where the table of the processor at hand is kept; a change of the kernels is a new file."""
    name = re.sub(r"[^a-z0-9]+", "-", f"{processor()[0]}-{isa.name}".lower()).strip("-")
    return cache_folder().parent / "tvm" / f"{name}-tvm{version('apache-tvm')}-{_code()}.json"


def _code() -> str:
    """Return a short digest of the kernels' source."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted([*(folder / "kernels").glob("*.py"), folder / "isa.py", folder / "timing.py"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


def key(kernel: Kernel) -> str:
    """Return what a kernel is called in the file, such as ``Shiftmax(rows=591, columns=197)``."""
    sizes = ((field.name, getattr(kernel, field.name)) for field in fields(kernel))  # type: ignore[arg-type]
    told = ", ".join(f"{name}={value!r}" for name, value in sizes if not isinstance(value, Isa))
    return f"{type(kernel).__name__}({told})"


class Table:
    """Seconds of the kernels that were measured, and the fit.

    A damaged file is named in a warning and made anew.
    """

    def __init__(self, isa: Isa, path: Path | None = None) -> None:
        self.isa = isa
        self.path = table_path(isa) if path is None else path
        self.seconds: dict[str, float] = {}
        self.fit: Fit | None = None
        self._read()

    def times(self, kernels: Iterable[Kernel], say: Callable[[str], None] | None = None) -> dict[Kernel, float]:
        """Return the seconds of each kernel; those never measured are measured now and kept.

        One process measures at a time: what another has measured meanwhile is taken, so that all workers of a search
        see the same times, and none is timed beside another.
        """
        wanted = dict.fromkeys(kernels)
        if any(key(kernel) not in self.seconds for kernel in wanted):
            from hardware.tvm_int8.timing import time_kernels

            with self._alone():
                self._read()
                missing = [kernel for kernel in wanted if key(kernel) not in self.seconds]
                found = time_kernels(missing, self.isa, say) if missing else []
                self.store({key(kernel): seconds for kernel, seconds in zip(missing, found, strict=True)})
        return {kernel: self.seconds[key(kernel)] for kernel in wanted}

    def store(self, seconds: dict[str, float], fit: Fit | None = None) -> None:
        """Add to the table; what other processes added meanwhile stays."""
        self._read()
        self.seconds.update(seconds)
        self.fit = fit or self.fit
        document = {
            "format": FORMAT,
            "processor": processor()[0],
            "instructions": self.isa.name,
            "fit": None if self.fit is None else asdict(self.fit),
            "seconds": dict(sorted(self.seconds.items())),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, json.dumps(document, indent=1))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from measuring for this table; the system frees what a killed process held."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> None:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        try:
            seconds, fit = _parse(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            warnings.warn(f"the operator table {self.path} is damaged ({error}); it is measured anew", stacklevel=3)
            self.path.unlink(missing_ok=True)
            return
        self.seconds.update(seconds)
        self.fit = fit


def _parse(document: Any) -> tuple[dict[str, float], Fit | None]:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}")
    seconds = {str(name): float(value) for name, value in document["seconds"].items()}
    if not all(0 < value < 1e4 for value in seconds.values()):
        raise ValueError("a time that is no time")
    return seconds, None if document["fit"] is None else Fit(**document["fit"])

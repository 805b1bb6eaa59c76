"""timm's tables with the operators of their networks, for `predictors.py` and `fit_predictors.py`."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hardware.fitted.estimator import network_columns
from hardware.fitted.features import COLUMNS, Vector
from hardware.fitted.samples import Samples
from hardware.fitted.tables import Row, distinct, read_table, transformers

ROOT = Path(__file__).parent.parent
FILES = {
    "gpu-rtx3090": "benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv",
    "gpu-rtx4090": "benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv",
    "cpu-i9-10940x": "benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv",
    "cpu-i7-12700h": "benchmark-infer-fp32-nchw-pt240-cpu-i7_12700h-dynamo.csv",
}


@dataclass(frozen=True)
class Table:
    """One device's distinct networks with attention."""

    rows: list[Row]
    samples: Samples

    @property
    def saturated(self) -> int:
        """The batch size most networks were measured at."""
        return int(np.median(self.samples.batch_size))

    @property
    def plain(self) -> np.ndarray:
        """Which rows are plain vision transformers, shape (networks,)."""
        return np.array([row.plain for row in self.rows])


def load(data: Path) -> dict[str, Table]:
    """Return the tables by the name of their target."""
    tables = {name: distinct(transformers(read_table(data / file))) for name, file in FILES.items()}
    columns = _columns(sorted({(row.model, row.image_size) for rows in tables.values() for row in rows}))
    found = {}
    for name, rows in tables.items():
        batch_size = np.array([row.batch_size for row in rows], float)
        image_ms = np.array([row.latency_ms for row in rows])
        matrix = np.array([columns[row.model, row.image_size] for row in rows])
        families = tuple(row.family for row in rows)
        found[name] = Table(rows, Samples(matrix, batch_size, image_ms * batch_size, families))
    return found


def _columns(networks: list[tuple[str, int]]) -> dict[tuple[str, int], Vector]:
    """Return the columns of timm's networks; traced once (about a second each), kept in the user's cache directory."""
    import timm

    from hardware.graph import assemble
    from hardware.network import timm_network

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nas" / f"timm-columns-{_version()}.npz"
    known: dict[tuple[str, int], Vector] = {}
    if cache.exists():
        stored = np.load(cache)
        networks_known = zip(stored["names"].tolist(), stored["sizes"].tolist(), strict=True)
        known = dict(zip(networks_known, stored["rows"], strict=True))
    missing = [network for network in networks if network not in known]
    warnings.filterwarnings("ignore", module="timm")
    for index, (name, size) in enumerate(missing):
        print(f"tracing {name} {size} ({index + 1} of {len(missing)}, timm {timm.__version__})", file=sys.stderr)
        known[name, size] = network_columns(timm_network(name, size))
        assemble.part_graph.cache_clear()  # a graph is large, its columns are not
    if missing:
        cache.parent.mkdir(parents=True, exist_ok=True)
        names, sizes = zip(*known, strict=True)
        np.savez(cache, names=np.array(names), sizes=np.array(sizes), rows=np.array(list(known.values())))
    return known


def _version() -> str:
    """Return a word that changes when the tracer or the columns do."""
    digest = hashlib.sha256(repr(COLUMNS).encode())
    for path in [*sorted((ROOT / "hardware/graph").glob("*.py")), ROOT / "hardware/fitted/features.py"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]

"""What a finished training says about itself. No torch here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluators.training.run_directory import ARCHITECTURE, METRICS, WEIGHTS
from searchspaces import NasError


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a run. Accuracies are shares in [0, 1].

    Args:
        test_accuracy: of the reported weights, measured once, at the end.
        validation_accuracy: of the reported weights; it decided between `ema` and `raw`.
        weights_from: ``ema`` (the moving average) or ``raw``, whichever is better on the validation images.
        params: scalars in the parameters of the network as adapted to the data.
        seconds: spent on training and validation, over all sessions of the run.
        weights, architecture, metrics: paths of the files.
    """

    test_accuracy: float
    validation_accuracy: float
    weights_from: str
    params: int
    epochs: int
    seconds: float
    seed: int
    data: str
    device: str
    precision: str
    weights: str
    architecture: str
    metrics: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def read(cls, out_dir: Path) -> TrainingResult | None:
        """Return the result in a directory; None if the run there is not finished.

        Raises:
            NasError: if ``metrics.json`` is damaged.
        """
        path = out_dir / METRICS
        if not path.exists():
            return None
        files = {"weights": out_dir / WEIGHTS, "architecture": out_dir / ARCHITECTURE, "metrics": path}
        own: dict[str, Any]
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            own = {name: plain[name] for name in cls.__dataclass_fields__ if name not in files}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NasError(f"{path}: is no record of a training: {error}") from error
        own |= {name: str(file) for name, file in files.items()}
        return cls(**own)

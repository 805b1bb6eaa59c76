"""Which decisions mattered: PED-ANOVA over the trials of a search (Watanabe et al., IJCAI 2023, arXiv 2304.10255)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from nas.expressions import Objective
from nas.trial import Trial
from searchspaces import Dimension, SearchSpace

MIN_TRIALS = 30  # the best tenth is compared with all; below this it would be one or two networks
_TOP = 0.1


def importances(space: SearchSpace, trials: Sequence[Trial], objective: Objective) -> dict[str, float] | str:
    """Return dimension to share of importance, largest first; or one sentence saying why there is none.

    A decision is important where the best tenth of the networks spread over its choices otherwise than all networks
    do. All decisions of a space are choices among a few values, so counting is enough; Optuna has the same measure
    for general distributions, at the price of loading scikit-learn (3 s). Only decisions that every network has are
    compared.
    """
    measured = [trial for trial in trials if trial.failure is None]
    if len(measured) < MIN_TRIALS:
        return (
            f"the importance of decisions needs at least {MIN_TRIALS} measured networks to say anything, "
            f"and this run has {len(measured)}."
        )
    values = [objective.sign * trial.value(objective.metric) for trial in measured]
    if min(values) == max(values):
        return f"every network has the same {objective.metric}, so no decision is more important than another."
    bar = sorted(values, reverse=True)[math.ceil(_TOP * len(values)) - 1]
    top = [trial for trial, value in zip(measured, values, strict=True) if value >= bar]
    shared = [d for d in space.searched if all(d.name in trial.architecture.choices for trial in measured)]
    found = {dimension.name: _divergence(dimension, top, measured) for dimension in shared}
    total = sum(found.values())
    if total <= 0:
        return "no decision sets the best networks of this run apart from the others."
    return {name: found[name] / total for name in sorted(found, key=lambda name: -found[name])}


def _divergence(dimension: Dimension, top: Sequence[Trial], everything: Sequence[Trial]) -> float:
    """Return the Pearson divergence of the choices of the top trials from those of all (theorem 1 of the paper)."""
    some, rest = _frequencies(dimension, top), _frequencies(dimension, everything)
    return sum(p * (q / p - 1) ** 2 for q, p in zip(some, rest, strict=True))


def _frequencies(dimension: Dimension, trials: Sequence[Trial]) -> list[float]:
    """Return how often each choice was taken; one more trial, spread evenly, keeps each above zero."""
    taken = Counter(trial.architecture.choices[dimension.name] for trial in trials)
    choices = list(dimension.choices)
    return [(taken[choice] + 1 / len(choices)) / (len(trials) + 1) for choice in choices]

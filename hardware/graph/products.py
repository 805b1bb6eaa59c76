"""Which matrix products of two activations are the scores of an attention and which its values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from hardware.graph.operator import Operator

# What a search for the softmax behind a product may pass: scaling, masks, biases, copies, and the linear layers that
# mix heads ("talking heads").
_BETWEEN_SCORES_AND_SOFTMAX = ("elementwise", "gather", "matmul", "convolution")


def score_products(operators: Mapping[str, Operator], edges: Iterable[tuple[str, str]]) -> set[str]:
    """Return the operators of the kind ``product`` whose result goes into a softmax before any other product."""
    after: dict[str, list[str]] = {}
    for start, end in edges:
        after.setdefault(start, []).append(end)
    found = set()
    for name, operator in operators.items():
        if operator.kind != "product":
            continue
        seen, left = set(), after.get(name, [])[:]
        while left:
            place = left.pop()
            kind = operators[place].kind
            if kind == "softmax":
                found.add(name)
                break
            if place not in seen and kind in _BETWEEN_SCORES_AND_SOFTMAX:
                seen.add(place)
                left += after.get(place, [])
    return found


def as_attention(operator: Operator, name: str, kind: str) -> Operator:
    """Return a product under the name of its part in the attention, with the sizes that part is described by."""
    sizes = dict(operator.attributes)
    rows, inner, columns = (sizes.pop(key) for key in ("rows", "inner", "columns"))
    if kind == "attention_scores":
        sizes.update(tokens=rows, keys=columns, head_dim=inner)
    else:
        sizes.update(tokens=rows, keys=inner, head_dim=columns)
    return dataclasses.replace(operator, name=name, kind=kind, attributes=tuple(sizes.items()))

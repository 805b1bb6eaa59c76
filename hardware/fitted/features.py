"""A network as numbers a predictor can weigh: sums over its operators, so that those of its parts add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.graph import Operator

# Millions of multiply-accumulates for one image; `fused` and `unfused` are the two products of attention.
WORK = ("matmul", "fused", "unfused", "convolution", "grouped", "depthwise")
# Millions of numbers read and written for one image, parameters not among them.
TRAFFIC = (
    "move_matmul",
    "move_fused",
    "fused_weights",  # never leave the chip, but each is exponentiated there
    "masked_weights",  # of these, the ones a mask or bias is added to, for which libraries have slower kernels
    "move_unfused",
    "move_convolution",
    "move_grouped",
    "move_depthwise",
    "move_norm",
    "move_batchnorm",
    "move_softmax",
    "move_activation",
    "move_elementwise",
    "move_gather",
    "move_index",
    "move_pooling",
)
# Once per pass, however many images are in it: millions of parameters, millions of multiply-accumulates and of numbers
# of operators that work on parameters alone (tables of position biases), kernels started, and the pass itself.
PASS = ("params", "constant_work", "constant_moved", "launches", "pass")
TIMED = WORK + TRAFFIC + PASS
# Logarithms of the shapes of products times millions of multiply-accumulates: divided by those, a mean shape.
SHAPES = ("log_inner", "log_outer", "log_rows", "log_head", "log_keys")
COLUMNS = TIMED + SHAPES
INDEX = {name: position for position, name in enumerate(COLUMNS)}
MOVED = [INDEX[name] for name in TRAFFIC if not name.endswith("_weights")]  # what goes through memory
IMAGE = len(WORK) + len(TRAFFIC)  # the columns before this one are per image

# Copies that keep long runs of numbers together; other gathers pick, shift or repeat.
_IN_ORDER = ("clone", "copy", "to_copy", "cat", "stack")

Vector = NDArray[np.float64]


def operator_features(operator: Operator) -> Vector:
    """Return the columns of one operator, of shape (len(COLUMNS),)."""
    vector = np.zeros(len(COLUMNS))
    attributes = dict(operator.attributes)
    vector[INDEX["params"]] = operator.params / 1e6
    vector[INDEX["launches"]] = 1
    if attributes.get("constant"):
        vector[INDEX["constant_work"]] = operator.macs / 1e6
        vector[INDEX["constant_moved"]] = operator.bytes_written / 4e6
        return vector
    if attributes.get("fused"):
        _fused(vector, operator)
    else:
        work, traffic = _classes(operator, attributes)
        if work:
            vector[INDEX[work]] = operator.macs / 1e6
        vector[INDEX[traffic]] = (operator.bytes_read + operator.bytes_written) / 4e6
    _shapes(vector, operator, attributes)
    return vector


def network_features(operators: Iterable[Operator]) -> Vector:
    """Return the columns of a whole network, of shape (len(COLUMNS),)."""
    vector = np.zeros(len(COLUMNS))
    vector[INDEX["pass"]] = 1
    for operator in operators:
        vector += operator_features(operator)
    return vector


def per_pass(columns: Vector, batch_size: Vector | int) -> Vector:
    """Return the timed columns, shape (..., len(TIMED)), of a whole pass over a batch."""
    timed = np.array(columns[..., : len(TIMED)])
    timed[..., :IMAGE] *= np.expand_dims(np.asarray(batch_size), -1)
    return timed


def _fused(vector: Vector, operator: Operator) -> None:
    """A fused attention reads queries, keys, values and the mask, and writes its output: one kernel, nothing else."""
    vector[INDEX["launches"]] = 1 / 3
    vector[INDEX["fused"]] = operator.macs / 1e6
    numbers = operator.bytes_read / 4e6
    if operator.kind == "attention_values":
        numbers += (operator.bytes_written / 4 - prod(operator.inputs[0])) / 1e6
    elif operator.kind == "softmax":
        numbers -= prod(operator.inputs[0]) / 1e6
        vector[INDEX["fused_weights"]] = operator.elements / 1e6
        vector[INDEX["masked_weights"]] = operator.elements / 1e6 if dict(operator.attributes).get("masked") else 0
    vector[INDEX["move_fused"]] = max(numbers, 0.0)


def _classes(operator: Operator, attributes: Mapping[str, Any]) -> tuple[str, str]:
    """Return the columns that count the work of an operator, "" for none, and its traffic."""
    match operator.kind:
        case "convolution":
            groups = attributes.get("groups", 1)
            name = "convolution" if groups == 1 else "depthwise" if groups == attributes["in_channels"] else "grouped"
            return name, f"move_{name}"
        case "attention_scores" | "attention_values":
            return "unfused", "move_unfused"
        case "matmul":
            return "matmul", "move_matmul"
        case "norm":
            return "", "move_batchnorm" if attributes.get("norm") == "batch" else "move_norm"
        case "unfold":
            return "", "move_index"
        case "gather":
            return "", "move_gather" if attributes.get("function") in _IN_ORDER else "move_index"
        case kind:
            return "", f"move_{kind}"


def _shapes(vector: Vector, operator: Operator, attributes: Mapping[str, Any]) -> None:
    """Note the shape of a product, weighted by its work."""
    macs = operator.macs / 1e6
    if not macs:
        return
    if operator.kind in ("attention_scores", "attention_values"):
        vector[INDEX["log_head"]] = macs * log(max(attributes.get("head_dim", 1), 1))
        vector[INDEX["log_keys"]] = macs * log(max(attributes.get("keys", 1), 1))
    elif operator.kind in ("matmul", "convolution"):
        outer = attributes.get("out_features") or attributes.get("out_channels") or 1
        vector[INDEX["log_outer"]] = macs * log(outer)
        vector[INDEX["log_rows"]] = macs * log(max(operator.elements / outer, 1))
        vector[INDEX["log_inner"]] = macs * log(max(operator.macs / max(operator.elements, 1), 1))

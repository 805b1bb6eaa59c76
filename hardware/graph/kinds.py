"""Which kind of operator each torch operator is, and the attributes that tell its cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NORMS = {
    "native_layer_norm": "layer",
    "native_batch_norm": "batch",
    "cudnn_batch_norm": "batch",
    "_native_batch_norm_legit": "batch",
    "_native_batch_norm_legit_no_training": "batch",
    "_batch_norm_with_update": "batch",
    "_batch_norm_no_update": "batch",
    "native_group_norm": "group",
    "rms_norm": "rms",
    "_fused_rms_norm": "rms",
}
_ACTIVATIONS = {
    *("relu", "gelu", "silu", "mish", "sigmoid", "tanh", "elu", "celu", "selu", "softplus", "leaky_relu", "prelu"),
    *("_prelu_kernel", "hardtanh", "hardswish", "hardsigmoid", "relu6", "log_sigmoid_forward", "glu", "erf"),
}
_SOFTMAX = {"_softmax", "_safe_softmax", "_log_softmax"}
_POOLING = {
    *("mean", "sum", "amax", "amin", "max", "min", "var", "var_mean", "std", "prod", "linalg_vector_norm", "norm"),
    *("avg_pool2d", "max_pool2d_with_indices", "max_pool2d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d"),
    *("adaptive_max_pool2d", "avg_pool1d", "adaptive_avg_pool1d", "logsumexp", "argmax", "argmin"),
}
_GATHER = {
    *("clone", "copy", "_to_copy", "cat", "stack", "constant_pad_nd", "reflection_pad2d", "replication_pad2d"),
    *("index", "_unsafe_index", "index_select", "index_put", "_index_put_impl", "gather", "scatter", "scatter_add"),
    *("embedding", "roll", "flip", "repeat", "repeat_interleave", "slice_scatter", "select_scatter", "index_add"),
    *("topk", "sort", "_reshape_copy", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_nearest2d", "tril"),
    *("_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa", "grid_sampler_2d", "pixel_shuffle", "channel_shuffle"),
    *("one_hot", "masked_select", "unfold_copy", "view_copy", "permute_copy", "index_copy", "native_channel_shuffle"),
}
# What only makes room for numbers or fills it with one.
CREATION = {
    *("empty", "empty_strided", "empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
    *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
}
_UNFOLD = {"im2col", "col2im"}
_PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "dot"}


def kind_of(name: str) -> str:
    """Return the kind of a torch operator, given its name without namespace and overload.

    What no list knows works number by number: ``elementwise``. ``product`` is a matrix product, of which the
    tracer says whose it is.
    """
    name = name.removesuffix("_") if not name.startswith("__") else name
    if name in _PRODUCTS:
        return "product"
    if "convolution" in name:
        return "convolution"
    for kind, names in _KINDS.items():
        if name in names:
            return kind
    return "elementwise"


_KINDS: dict[str, Any] = {
    "norm": _NORMS,
    "activation": _ACTIVATIONS,
    "softmax": _SOFTMAX,
    "pooling": _POOLING,
    "gather": _GATHER,
    "unfold": _UNFOLD,
}


def attributes_of(name: str, kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else tells the cost of an operator.

    Args:
        arguments: of the call, by the names of torch's schema.
    """
    if kind == "convolution":
        weight = arguments["weight"]
        return {
            "kernel": tuple(weight.shape[2:]),
            "stride": _each(arguments["stride"], weight.dim() - 2),
            "padding": _each(arguments["padding"], weight.dim() - 2),
            "groups": int(arguments["groups"]),
            "in_channels": int(arguments["input"].shape[1]),
            "out_channels": int(weight.shape[0]),
        }
    if kind == "norm":
        return {"norm": _NORMS[name.removesuffix("_")]}
    if kind in ("activation", "elementwise", "gather"):
        return {"function": name.strip("_")}
    if kind == "pooling":
        window = {key: tuple(arguments[key]) for key in ("kernel_size", "stride") if arguments.get(key)}
        return {"function": name.strip("_"), **{key.removesuffix("_size"): value for key, value in window.items()}}
    if kind == "unfold":
        found = {"kernel": tuple(arguments["kernel_size"]), "stride": tuple(arguments["stride"])}
        return found if name == "im2col" else {**found, "function": "fold"}
    return {}


def _each(value: Any, dimensions: int) -> tuple[int, ...]:
    values = tuple(int(v) for v in value)
    return values * dimensions if len(values) == 1 else values

"""How each torch function of the networks becomes a step in integers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hardware.target import UnsupportedError
from hardware.tvm_int8.layout import best_order, is_whole, permutes_whole, places, relocate, whole
from hardware.tvm_int8.record import Recorder, View


def _linear(recorder: Recorder, func: Any, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    result = func(input, weight, bias)
    tensors = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    recorder.emit("linear", recorder.name_of(weight, "a linear layer"), [recorder.view(input)], result, tensors)
    return result


def _conv2d(
    recorder: Recorder,
    func: Any,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """A linear layer on the columns of `unfold`; its buffer is (places, channels)."""
    layer = recorder.name_of(weight, "a convolution")
    if groups != 1 or isinstance(padding, str):
        raise UnsupportedError(
            f"{layer}: convolutions with groups={groups}, padding={padding!r} have no integer kernel"
        )
    result = func(input, weight, bias, stride, padding, dilation, groups)
    view = recorder.view(input)
    # Addresses are below 2^53, so doubles hold them exactly; unfold knows no integers.
    columns = F.unfold(view.addresses.double(), weight.shape[2:], dilation, padding, stride).long()
    batch, channels, height, width = result.shape
    tensors = {"weight": weight.flatten(1)} if bias is None else {"weight": weight.flatten(1), "bias": bias}
    recorder.emit(
        "linear",
        layer,
        [View(columns.transpose(1, 2), view.buffers)],
        result,
        tensors,
        lies=((batch, height * width, channels), lambda x: x.transpose(1, 2).unflatten(2, (height, width))),
        convolution=True,
    )
    return result


def _layer_norm(
    recorder: Recorder,
    func: Any,
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    result = func(input, normalized_shape, weight, bias, eps)
    layer = recorder.name_of(weight, "a LayerNorm")
    if len(normalized_shape) != 1:
        raise UnsupportedError(f"{layer}: LayerNorm over {len(normalized_shape)} axes has no integer kernel")
    tensors = {name: value for name, value in (("weight", weight), ("bias", bias)) if value is not None}
    view = recorder.view(input)
    order = best_order(view.addresses.flatten(0, -2).numpy())
    if order is None:
        recorder.emit("layer_norm", layer, [view], result, tensors)
        return result
    # The channels may come in any order: the one that copies them in the longest runs.
    tensors = {name: value[order] for name, value in tensors.items()}
    inverse = torch.from_numpy(order).argsort()
    ordered = View(view.addresses[..., order], view.buffers)
    lies = (tuple(result.shape), lambda addresses: addresses[..., inverse])
    recorder.emit("layer_norm", layer, [ordered], result, tensors, lies=lies)
    return result


def _batch_norm(
    recorder: Recorder,
    func: Any,
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Folded into the convolution before it."""
    result = func(input, running_mean, running_var, weight, bias, training, momentum, eps)
    step = recorder.absorb(input, result, "linear")
    if training or step is None:
        raise UnsupportedError("a BatchNorm that does not follow a convolution has no integer kernel")
    gain = torch.rsqrt(running_var + eps) * (1.0 if weight is None else weight)
    before = step.tensors.get("bias", torch.zeros_like(running_mean))
    after = (before - running_mean) * gain + (0.0 if bias is None else bias)
    step.tensors = {"weight": step.tensors["weight"] * gain[:, None], "bias": after}
    return result


def _relu(recorder: Recorder, func: Any, input: Tensor, inplace: bool = False) -> Tensor:
    """The lower clamp of the linear layer before it, a table elsewhere."""
    result = F.relu(input)
    step = recorder.absorb(input, result, "linear")
    if step is None:
        recorder.emit("table", "relu", [recorder.view(input)], result, function="relu")
    else:
        step.settings["low"] = 0
    return result


def _gelu(recorder: Recorder, func: Any, input: Tensor, approximate: str = "none") -> Tensor:
    result = func(input, approximate=approximate)
    recorder.emit("gelu", "gelu", [recorder.view(input)], result)
    return result


def _scalar(function: str) -> Any:
    def handle(recorder: Recorder, func: Any, input: Tensor, *_: Any, **__: Any) -> Tensor:
        result = getattr(F, function)(input)
        recorder.emit("table", function, [recorder.view(input)], result, function=function)
        return result

    return handle


def _attention(
    recorder: Recorder,
    func: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **_: Any,
) -> Tensor:
    if attn_mask is not None or is_causal or dropout_p:
        raise UnsupportedError("attention with a mask, a bias or dropout has no integer kernel")
    result = func(query, key, value, scale=scale)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores, peak = 1.0, 1.0
    if not query.is_meta:
        products = query @ key.transpose(-1, -2) * factor
        scores, peak = float(products.abs().max()), float(products.softmax(-1).max())
    views = [recorder.view(tensor) for tensor in (query, key, value)]
    recorder.emit("attention", "attention", views, result, factor=factor, scores=scores, peak=peak)
    return result


def _add(recorder: Recorder, func: Any, input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    if alpha != 1 or not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise UnsupportedError("adding a number to activations has no integer kernel")
    result = torch.add(input, other)
    views: list[View | None] = []
    for tensor in (input, other):
        view = recorder.view(tensor) if recorder.tracked(tensor) else None
        views.append(view and View(view.addresses.expand(result.shape), view.buffers))
    lies = _common_order([view for view in views if view is not None])
    read = []
    for tensor, view in zip((input, other), views, strict=True):
        if view is None:  # a constant is laid out as the activations lie
            full = tensor.expand(result.shape).contiguous()
            read.append(recorder.view(full if lies is None else relocate(full, lies)))
        elif lies is None:
            read.append(view)
        else:
            read.append(View(whole(min(view.buffers), (result.numel(),)), view.buffers))
    order = None if lies is None else ((result.numel(),), lambda flat: flat[places(lies)])
    recorder.emit("add", "add", read, result, lies=order)
    return result


def _common_order(views: list[View]) -> Tensor | None:
    """Return how the tensors lie in their buffers if it is the same, not in order, and all of each buffer.

    Maps of channels whose buffers hold places first are then added as they lie, without a copy.
    """
    first = views[0].addresses
    if any(len(view.buffers) != 1 for view in views) or is_whole(first, first.numel()):
        return None
    same = all(bool((places(view.addresses) == places(first)).all()) for view in views[1:])
    return first if same and permutes_whole(first, first.numel()) else None


def _mean(recorder: Recorder, func: Any, input: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Tensor:
    result = func(input, dim, keepdim)
    axes = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    axes = sorted(axis % input.ndim for axis in axes)
    view = recorder.view(input)
    kept = [axis for axis in range(input.ndim) if axis not in axes]
    grouped = view.addresses.permute(*kept, *axes).flatten(len(kept))
    recorder.emit("mean", "mean", [View(grouped, view.buffers)], result)
    return result


def _avg_pool2d(
    recorder: Recorder, func: Any, input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, *_: Any
) -> Tensor:
    result = func(input, kernel_size, stride, padding, *_)
    view = recorder.view(input)
    batch, channels, height, width = result.shape
    columns = F.unfold(view.addresses.double(), kernel_size, 1, padding, stride or kernel_size).long()
    # (batch, places, channels, terms): the buffer holds places first, as token maps do.
    terms = columns.unflatten(1, (channels, -1)).permute(0, 3, 1, 2)
    recorder.emit(
        "mean",
        "average pooling",
        [View(terms, view.buffers)],
        result,
        lies=((batch, height * width, channels), lambda x: x.transpose(1, 2).unflatten(2, (height, width))),
    )
    return result


def _dropout(
    recorder: Recorder, func: Any, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    if training and p:
        raise UnsupportedError("dropout in training has no integer kernel; put the module into evaluation mode")
    return input


HANDLERS: dict[Any, Any] = {
    F.linear: _linear,
    F.conv2d: _conv2d,
    torch.conv2d: _conv2d,
    F.layer_norm: _layer_norm,
    F.batch_norm: _batch_norm,
    F.relu: _relu,
    torch.relu: _relu,
    Tensor.relu: _relu,
    F.gelu: _gelu,
    F.scaled_dot_product_attention: _attention,
    F.dropout: _dropout,
    F.avg_pool2d: _avg_pool2d,
    **dict.fromkeys((F.tanh, torch.tanh, Tensor.tanh), _scalar("tanh")),
    **dict.fromkeys((F.sigmoid, torch.sigmoid, Tensor.sigmoid), _scalar("sigmoid")),
    F.silu: _scalar("silu"),
    **dict.fromkeys((torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__), _add),
    **dict.fromkeys((torch.mean, Tensor.mean), _mean),
}

LAYOUT = frozenset(
    {
        F.pad,
        torch.cat,
        torch.chunk,
        torch.flatten,
        torch.permute,
        torch.reshape,
        torch.split,
        torch.squeeze,
        torch.stack,
        torch.transpose,
        torch.unbind,
        torch.unflatten,
        torch.unsqueeze,
        Tensor.__getitem__,
        Tensor.chunk,
        Tensor.contiguous,
        Tensor.expand,
        Tensor.expand_as,
        Tensor.flatten,
        Tensor.flip,
        Tensor.movedim,
        Tensor.permute,
        Tensor.reshape,
        Tensor.roll,
        Tensor.split,
        Tensor.squeeze,
        Tensor.transpose,
        Tensor.unbind,
        Tensor.unflatten,
        Tensor.unfold,
        Tensor.unsqueeze,
        Tensor.view,
    }
)

"""Forward-mode differentiation of a torch module as it stands, at the price of one pass over twice the batch.

A `Dual` is one tensor with the values in the first half of its leading dimension and the tangents in the second.
Linear layers and convolutions are then one matrix product for both, and operations that move or add elements work
unchanged; only non-linear ones need a rule. `torch.func.jvp` does the same with two passes and slower kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from evaluators.proxies.dual_attention import attention

Rule = Callable[..., Any]


class NoDualRuleError(Exception):
    """A module used an operation in a way that dual tensors do not support; use `torch.func.jvp` instead."""


class Dual(Tensor):
    """Values and tangents stacked along the leading dimension: shape (2 * batch, ...)."""

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        rule = _RULES.get(func)
        if rule is None:
            raise NoDualRuleError(f"no dual rule for {getattr(func, '__name__', func)}")
        with torch._C.DisableTorchFunctionSubclass():
            try:
                return rule(func, *args, **(kwargs or {}))
            except (TypeError, RuntimeError) as error:  # arguments the rule does not know; a true error comes back
                raise NoDualRuleError(f"{getattr(func, '__name__', func)}: {error}") from error


def dual(value: Tensor, tangent: Tensor) -> Tensor:
    """Return the dual of two tensors of one shape."""
    return torch.cat([value, tangent]).as_subclass(Dual)


def parts(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return value and tangent.

    Raises:
        NoDualRuleError: if `x` is no dual, that is, the module's output does not depend on its input through rules.
    """
    if not isinstance(x, Dual):
        raise NoDualRuleError("the output is not a dual tensor")
    return _halves(x)


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    with torch._C.DisableTorchFunctionSubclass():
        value, tangent = x.as_subclass(Tensor).chunk(2)
    return value, tangent


def _wrap(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.as_subclass(Dual)
    return type(x)(map(_wrap, x)) if isinstance(x, tuple | list) else x


def _join(value: Tensor, tangent: Tensor, batch: int) -> Tensor:
    """Return the dual of two results, after a check that no constant has stretched the batch."""
    if value.dim() == 0 or value.shape[0] != batch:
        raise NoDualRuleError("a constant changes the batch")
    return torch.cat([value, tangent]).as_subclass(Dual)


def _value_of(plain: Any, like: Tensor) -> Any:
    """Return a constant that fits the values: a batch that was made from the doubled size is cut in half."""
    if isinstance(plain, Tensor) and plain.dim() == like.dim() and plain.shape[0] == like.shape[0]:
        return plain[: plain.shape[0] // 2]
    return plain


# --- operations that act on values and tangents alike ------------------------------------------------------------


def _attribute(func: Rule, *args: Any, **kwargs: Any) -> Any:
    return func(*args, **kwargs)


def _reshape(func: Rule, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Elements keep their order, so the halves stay halves as long as the leading size is even."""
    out = func(x, *args, **kwargs)
    if out.dim() == 0 or out.shape[0] % 2:
        raise NoDualRuleError(f"reshape to {tuple(out.shape)} mixes values and tangents")
    return _wrap(out)


def _permute(func: Rule, x: Tensor, *dims: Any, **kwargs: Any) -> Any:
    order = kwargs.get("dims", dims[0] if dims and not isinstance(dims[0], int) else dims)
    if order[0] % x.dim():
        raise NoDualRuleError("permute moves the batch")
    return _wrap(func(x, *dims, **kwargs))


def _along(position: int, default: int | None = 0) -> Rule:
    """Return the rule of operations along the dimension in the given argument, which must not be the batch."""

    def rule(func: Rule, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        dims = kwargs.get("dim", args[position] if len(args) > position else default)
        for dim in dims if isinstance(dims, tuple | list) else (dims,):
            if dim is None or dim % x.dim() == 0:
                raise NoDualRuleError(f"{func.__name__} runs over the batch")
        out = func(x, *args, **kwargs)
        if isinstance(out, Tensor) and out.shape[0] != x.shape[0]:
            raise NoDualRuleError(f"{func.__name__} moves the batch")
        return _wrap(out)

    return rule


def _transpose(func: Rule, x: Tensor, first: int, second: int) -> Any:
    if first % x.dim() == 0 or second % x.dim() == 0:
        raise NoDualRuleError("transpose moves the batch")
    return _wrap(func(x, first, second))


def _pad(func: Rule, x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    if mode != "constant" or value or len(pad) >= 2 * x.dim():
        raise NoDualRuleError("only padding with zeros keeps tangents")
    return _wrap(func(x, pad))


def _getitem(func: Rule, x: Tensor, index: Any) -> Any:
    first = index[0] if isinstance(index, tuple) else index
    if first is not Ellipsis and first != slice(None):
        raise NoDualRuleError("indexing selects from the batch")
    return _wrap(func(x, index))


def _cat(func: Rule, tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Constants among the tensors (class tokens, expanded to the doubled batch) have no tangent."""
    if dim % tensors[0].dim() == 0:
        raise NoDualRuleError("cat runs over the batch")
    members = []
    for tensor in tensors:
        if not isinstance(tensor, Dual):
            value, _ = tensor.chunk(2)
            tensor = torch.cat([value, torch.zeros_like(value)])
        members.append(tensor)
    return _wrap(func(members, dim))


def _dropout(func: Rule, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    if training and p > 0.0:
        raise NoDualRuleError("dropout is active")
    return x


# --- linear in the input: the constant part meets the values only ------------------------------------------------


def _linear(func: Rule, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    out = func(x, weight)
    if bias is not None:
        out[: out.shape[0] // 2] += bias
    return _wrap(out)


def _convolution(func: Rule, x: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
    out = func(x, weight, None, *args, **kwargs)
    if bias is not None:
        out[: out.shape[0] // 2] += bias.reshape(-1, *[1] * (out.dim() - 2))
    return _wrap(out)


def _add(func: Rule, x: Any, y: Any) -> Any:
    if isinstance(x, Dual) and isinstance(y, Dual):
        if x.dim() != y.dim() or x.shape[0] != y.shape[0]:
            raise NoDualRuleError("the batches do not line up")
        return _wrap(func(x, y))
    if not isinstance(x, Dual):
        if func in _SUBTRACTIONS:
            raise NoDualRuleError("a constant minus a dual")
        x, y = y, x
    value, tangent = _halves(x)
    value = func(value, _value_of(y, x))
    return _join(value, tangent.expand_as(value), x.shape[0] // 2)


# --- rules with derivatives ---------------------------------------------------------------------------------------


def _multiply(func: Rule, x: Any, y: Any) -> Any:
    if isinstance(x, Dual) and isinstance(y, Dual):
        if x.dim() != y.dim():
            raise NoDualRuleError("the batches do not line up")
        (a, da), (b, db) = _halves(x), _halves(y)
        return _wrap(torch.cat([a * b, torch.addcmul(da * b, a, db)]))
    whole, factor = (x, y) if isinstance(x, Dual) else (y, x)
    factor = _value_of(factor, whole)
    value, tangent = _halves(whole)
    return _join(value * factor, tangent * factor, len(value))


def _divide(func: Rule, x: Any, y: Any) -> Any:
    if isinstance(y, Tensor):
        raise NoDualRuleError("division by a tensor")
    return _wrap(func(x, y))


def _matmul(func: Rule, x: Tensor, y: Tensor) -> Any:
    if isinstance(x, Dual) and not isinstance(y, Dual) and y.dim() == 2:
        return _wrap(func(x, y))
    if not (isinstance(x, Dual) and isinstance(y, Dual)) or x.dim() != y.dim() or x.dim() < 3:
        raise NoDualRuleError("matrix products need two dual batches")
    (a, da), (b, db) = _halves(x), _halves(y)
    return _wrap(torch.cat([a @ b, da @ b + a @ db]))


def _gelu(func: Rule, x: Tensor, approximate: str = "none") -> Any:
    value, tangent = _halves(x)
    out = torch.empty_like(x.as_subclass(Tensor), memory_format=torch.contiguous_format)
    first, second = out.chunk(2)
    torch.ops.aten.gelu.out(value, approximate=approximate, out=first)
    torch.ops.aten.gelu_backward.grad_input(tangent, value, approximate=approximate, grad_input=second)
    return _wrap(out)


def _by_jvp(func: Rule, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Let torch differentiate one operation that treats the members of the batch alike."""
    kwargs.pop("inplace", None)
    value, tangent = _halves(x)
    return _wrap(torch.cat(torch.func.jvp(lambda a: func(a, *args, **kwargs), (value,), (tangent,))))


def _softmax(func: Rule, x: Tensor, dim: int | None = None, **kwargs: Any) -> Any:
    if dim is None or dim % x.dim() == 0:
        raise NoDualRuleError("softmax runs over the batch")
    return _by_jvp(torch.softmax, x, dim)


def _layer_norm(
    func: Rule,
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    """With n = (x - mean) / deviation, the tangent of n is (x' - mean(x') - n mean(n x')) / deviation."""
    shape = tuple(normalized_shape)
    if len(shape) >= x.dim():
        raise NoDualRuleError("layer_norm runs over the batch")
    value, tangent = _halves(x)
    normed, _, reciprocal = torch.native_layer_norm(value, shape, None, None, eps)
    dims = tuple(range(-len(shape), 0))
    slope = tangent - tangent.mean(dims, keepdim=True)
    slope = torch.addcmul(slope, normed, (normed * slope).mean(dims, keepdim=True), value=-1.0).mul_(reciprocal)
    if weight is not None:
        normed, slope = normed * weight, slope.mul_(weight)
    return _wrap(torch.cat([normed if bias is None else normed + bias, slope]))


def _attention(
    func: Rule,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if attn_mask is not None or dropout_p or is_causal or enable_gqa:
        raise NoDualRuleError("attention with a mask, dropout or grouped queries")
    if not all(isinstance(x, Dual) and x.dim() >= 3 for x in (query, key, value)):
        raise NoDualRuleError("attention needs dual batches of queries, keys and values")
    q, k, v = (x.as_subclass(Tensor) for x in (query, key, value))
    return _wrap(attention(q, k, v, q.shape[-1] ** -0.5 if scale is None else scale))


def _both(*names: str) -> list[Rule]:
    """Return the functions of these names, as methods and in the torch namespace."""
    return [getattr(owner, name) for name in names for owner in (torch, Tensor) if hasattr(owner, name)]


_SUBTRACTIONS = {*_both("sub", "subtract"), Tensor.__sub__}
_RULES: dict[Rule, Rule] = {
    **dict.fromkeys(
        [getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "layout", "requires_grad")]
        + [Tensor.dim, Tensor.size, Tensor.numel, Tensor.is_contiguous, Tensor.stride, Tensor.is_floating_point],
        _attribute,
    ),
    **dict.fromkeys(
        [*_both("reshape", "flatten", "unflatten", "clone", "contiguous", "detach"), Tensor.view], _reshape
    ),
    **dict.fromkeys(_both("permute"), _permute),
    **dict.fromkeys(_both("transpose", "swapaxes"), _transpose),
    **dict.fromkeys(_both("chunk", "split"), _along(1)),
    **dict.fromkeys([Tensor.unfold, *_both("unsqueeze", "squeeze", "unbind")], _along(0, None)),
    **dict.fromkeys(_both("mean", "sum"), _along(0, None)),
    **dict.fromkeys(_both("roll", "flip"), _along(1, None)),
    **dict.fromkeys([torch.cat, torch.concat], _cat),
    **dict.fromkeys([F.pad, torch._C._nn.pad], _pad),
    F.avg_pool2d: lambda func, *args, **kwargs: _wrap(func(*args, **kwargs)),
    F.adaptive_avg_pool2d: lambda func, *args, **kwargs: _wrap(func(*args, **kwargs)),
    Tensor.__getitem__: _getitem,
    F.dropout: _dropout,
    F.linear: _linear,
    **dict.fromkeys([F.conv1d, F.conv2d, F.conv3d], _convolution),
    **dict.fromkeys([*_both("add", "sub", "subtract"), Tensor.__add__, Tensor.__radd__, Tensor.__sub__], _add),
    **dict.fromkeys([*_both("mul", "multiply"), Tensor.__mul__, Tensor.__rmul__], _multiply),
    **dict.fromkeys([*_both("div", "divide", "true_divide"), Tensor.__truediv__], _divide),
    **dict.fromkeys([*_both("matmul", "bmm"), Tensor.__matmul__], _matmul),
    F.gelu: _gelu,
    F.layer_norm: _layer_norm,
    **dict.fromkeys([F.softmax, *_both("softmax")], _softmax),
    **dict.fromkeys(
        [
            *(F.relu, F.relu6, F.silu, F.sigmoid, F.tanh, F.hardswish, F.elu, F.softplus),
            *_both("relu", "tanh", "sigmoid", "exp", "square", "sin", "cos"),
        ],
        _by_jvp,
    ),
    F.scaled_dot_product_attention: _attention,
}

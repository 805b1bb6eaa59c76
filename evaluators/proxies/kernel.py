"""The empirical neural tangent kernel of a batch from one forward and one backward pass.

The scalar of an image is the sum of its pooled features, and its gradient is taken with respect to every parameter
named "...weight" (As-ViT, arXiv 2202.11921, and the authors' code). The images do not meet in the network, so one
backward pass from the sum over the batch holds the gradients of all: each layer's input and output gradient give its
share of the kernel, and the full Jacobian never exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from evaluators.proxies.gradients import (
    convolution_gradients,
    layer_norm_gradients,
    linear_gradients,
    linear_gram,
    row_gram,
)
from evaluators.proxies.series import choose_order, series_attention

Gradients = Callable[[Tensor], Tensor]


def ntk_gram(module: nn.Module, images: Tensor, exact: bool = False) -> Tensor:
    """Return the kernel.

    Args:
        module: in evaluation mode; its `forward_features` maps images to (batch, features).
        images: (batch, channels, size, size) of the module's dtype.
        exact: keep the softmax in attention where its power series would do, see `series.choose_order`.

    Returns:
        (batch, batch) float64, symmetric. Networks that use a weight in another way than linear layers, LayerNorm and
        convolutions do take the definition instead, one reverse pass per image.
    """
    wanted = {parameter: parameter.requires_grad for parameter in module.parameters()}
    module.requires_grad_(False)  # autograd would sum the gradients of the weights over the batch
    try:
        recorder = _Recorder(module, len(images), exact)
        with torch.enable_grad(), recorder:
            total = module.forward_features(images).sum()  # type: ignore[operator]
        if total.requires_grad:
            total.backward()
        return recorder.gram()
    except _UnknownUseError:
        return gram_by_definition(module, images)
    finally:
        for parameter, flag in wanted.items():
            parameter.requires_grad_(flag)


def gram_by_definition(module: nn.Module, images: Tensor) -> Tensor:
    """Return the kernel from the gradients of one image after the other; memory holds all of them."""
    weights = {name: p.detach() for name, p in module.named_parameters() if name.endswith("weight")}

    def scalar(values: dict[str, Tensor], image: Tensor) -> Tensor:
        named = {f"module.{name}": value for name, value in values.items()}
        return torch.func.functional_call(_Features(module), named, (image[None],)).sum()

    rows = [torch.func.grad(scalar)(weights, image) for image in images]
    return torch.stack([row_gram(torch.stack([row[name].flatten() for row in rows])) for name in weights]).sum(0)


class _Features(nn.Module):
    """Makes `forward_features` the forward pass, which `functional_call` needs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        return self.module.forward_features(images)  # type: ignore[operator]


class _UnknownUseError(NotImplementedError):
    """A weight took part in an operation whose gradients per image are not known here."""


class _Recorder(TorchFunctionMode):
    """Watches a forward pass: remembers what each weight met, and sums up the kernel while the backward pass runs.

    It works on functions rather than modules, so that a weight used anywhere else is noticed, not left out.
    """

    def __init__(self, module: nn.Module, batch: int, exact: bool) -> None:
        super().__init__()
        self.weights = {id(p) for name, p in module.named_parameters() if name.endswith("weight")}
        self.batch = batch
        self.exact = exact
        self.total = torch.zeros(batch, batch, dtype=torch.float64)
        self.uses: dict[int, int] = {}
        self.sums: dict[int, Tensor] = {}

    def gram(self) -> Tensor:
        """Return the kernel, after the backward pass."""
        for rows in self.sums.values():
            self.total += row_gram(rows)
        self.sums.clear()
        return self.total

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and not self.exact:
            return _attention(*args, **kwargs)
        used = [x for x in (*args, *kwargs.values()) if isinstance(x, nn.Parameter) and id(x) in self.weights]
        if not used or func.__name__ == "__get__":
            return func(*args, **kwargs)
        if func is F.linear:
            return self._linear(*args, **kwargs)
        if func is F.layer_norm:
            return self._layer_norm(*args, **kwargs)
        if func is F.conv2d:
            return self._convolution(*args, **kwargs)
        raise _UnknownUseError(func.__name__)

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        inputs = x.detach().reshape(len(x), -1, x.shape[-1])

        def output_gradient(gradient: Tensor) -> Tensor:
            return gradient.reshape(len(x), -1, gradient.shape[-1])

        return self._watch(
            F.linear(x, weight, bias),
            x,
            weight,
            lambda gradient: linear_gradients(inputs, output_gradient(gradient)),
            lambda gradient: linear_gram(inputs, output_gradient(gradient)),
        )

    def _layer_norm(
        self,
        x: Tensor,
        normalized_shape: Sequence[int],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        if weight is None or id(weight) not in self.weights:
            raise _UnknownUseError("layer_norm")
        shape = tuple(normalized_shape)
        out = F.layer_norm(x, shape, weight, bias, eps)
        fresh = bool((weight == 1.0).all()) and (bias is None or not bool(bias.any()))
        normed = out.detach() if fresh else F.layer_norm(x.detach(), shape, None, None, eps)
        return self._watch(out, x, weight, lambda gradient: layer_norm_gradients(normed, gradient, weight.numel()))

    def _convolution(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        if isinstance(padding, str):
            raise _UnknownUseError("a convolution with padding in words")
        inputs = x.detach()
        geometry = (*([n, n] if isinstance(n, int) else list(n) for n in (stride, padding, dilation)), groups)
        return self._watch(
            F.conv2d(x, weight, bias, stride, padding, dilation, groups),
            x,
            weight,
            lambda gradient: convolution_gradients(inputs, gradient, weight, geometry),
        )

    def _watch(
        self, out: Tensor, x: Tensor, weight: Tensor, gradients: Gradients, gram: Gradients | None = None
    ) -> Tensor:
        """Arrange that the layer's share joins the kernel when the gradient of its output is known.

        Args:
            gradients: from the output gradient to the (batch, numbers) weight gradients.
            gram: to their Gram matrix straight away; only of use for a weight that is used once.
        """
        if x.dim() < 2 or x.shape[0] != self.batch or id(weight) not in self.weights:
            raise _UnknownUseError("the batch is not the leading dimension")
        key = id(weight)
        self.uses[key] = self.uses.get(key, 0) + 1
        if not out.requires_grad:
            out.requires_grad_()  # the first layers: gradients go back to here and no further

        @torch.no_grad()
        def arrived(gradient: Tensor) -> None:
            if self.uses[key] > 1:  # the gradients of all uses add up before they are multiplied
                rows = gradients(gradient)
                self.sums[key] = self.sums[key] + rows if key in self.sums else rows
            else:
                self.total += row_gram(gradients(gradient)) if gram is None else gram(gradient)

        out.register_hook(arrived)
        return out


def _attention(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Attention of the network, through the power series where that is as good and cheaper."""
    plain = not args and set(kwargs) <= {"scale"}
    scale = kwargs.get("scale") or query.shape[-1] ** -0.5
    order = choose_order(query, key, scale) if plain else None
    if order is None:
        return F.scaled_dot_product_attention(query, key, value, *args, **kwargs)
    return series_attention(query, key, value, scale, order)

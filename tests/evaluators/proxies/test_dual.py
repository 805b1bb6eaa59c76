"""Dual tensors against `torch.func.jvp`, operation by operation, and attention path by path."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from evaluators.proxies.dual import Dual, NoDualRuleError, dual, parts
from evaluators.proxies.dual_attention import attention, exact_attention, is_linear, linear_attention

torch.manual_seed(0)
WEIGHT, BIAS = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
KERNEL = torch.randn(5, 4, 3, 3, dtype=torch.float64)
ROW = torch.randn(4, dtype=torch.float64)
MAP = torch.randn(1, 5, 5, 4, dtype=torch.float64)

# Each takes a (batch, 5, 5, 4) map.
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: F.linear(x, WEIGHT, BIAS),
    "linear without bias": lambda x: F.linear(x, WEIGHT),
    "convolution": lambda x: F.conv2d(x.permute(0, 3, 1, 2), KERNEL, ROW.new_ones(5), stride=2, padding=1),
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: x.softmax(-1),
    "softmax function": lambda x: F.softmax(x, dim=-2),
    "layer norm": lambda x: F.layer_norm(x, (4,), ROW, ROW * 2.0),
    "layer norm plain": lambda x: F.layer_norm(x, (5, 4)),
    "residual": lambda x: x + F.gelu(x),
    "position": lambda x: x + MAP,
    "stretching constant": lambda x: x[:, :1] + MAP,
    "constant first": lambda x: MAP + x,
    "scalar": lambda x: 3.0 * x - 1.0,
    "minus": lambda x: x - MAP,
    "scale": lambda x: x * ROW,
    "gate": lambda x: x * torch.sigmoid(x),
    "quotient": lambda x: x / 3.0,
    "matrix product": lambda x: x @ x.transpose(-1, -2),
    "matrix constant": lambda x: x @ WEIGHT.T,
    "pad and unfold": lambda x: F.pad(x, (0, 0, 1, 1, 1, 1)).unfold(1, 3, 2).unfold(2, 3, 2).flatten(3),
    "windows": lambda x: x[:, :4, :4].reshape(-1, 2, 2, 2, 2, 4).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 4) @ WEIGHT.T,
    "chunk and cat": lambda x: torch.cat([a * 2.0 for a in x.chunk(2, dim=-1)], dim=1),
    "split": lambda x: x.split([2, 3], dim=1)[1],
    "class token": lambda x: torch.cat([ROW.expand(x.shape[0], 1, 4), x.flatten(1, 2)], dim=1),
    "mean": lambda x: x.mean((1, 2)),
    "pooling": lambda x: F.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), 1).flatten(1),
    "unbind": lambda x: x.unbind(-1)[2].unsqueeze(1),
    "dropout at rest": lambda x: F.dropout(x, 0.5, training=False),
}
REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "batch moved": lambda x: x.permute(1, 0, 2, 3),
    "batch transposed": lambda x: x.transpose(0, 1),
    "batch summed": lambda x: x.mean(0),
    "everything summed": lambda x: x.sum(),
    "batch indexed": lambda x: x[0],
    "batch joined": lambda x: torch.cat([x, x]),
    "batch flattened away": lambda x: x.reshape(1, -1),
    "new leading dimension": lambda x: x.unsqueeze(0),
    "new leading dimension counted from the end": lambda x: x.unsqueeze(-5),
    "unknown operation": lambda x: torch.cumsum(x, -1),
    "constant minus": lambda x: MAP - x,
    "active dropout": lambda x: F.dropout(x, 0.5),
    "padding with ones": lambda x: F.pad(x, (1, 1), value=1.0),
    "softmax over the batch": lambda x: x.softmax(0),
    "unknown argument": lambda x: torch.add(x, x, alpha=2.0),
    "causal attention": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
}


def draws(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), batch=st.integers(1, 3), scale=st.sampled_from([1e-3, 1.0, 10.0]))
def test_rules_match_jvp(name: str, seed: int, batch: int, scale: float) -> None:
    value, tangent = draws(seed, batch, 5, 5, 4, scale=scale), draws(seed + 1, batch, 5, 5, 4)
    expected = torch.func.jvp(OPERATIONS[name], (value,), (tangent,))
    out = parts(OPERATIONS[name](dual(value, tangent)))
    for mine, reference in zip(out, expected, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", REFUSED)
def test_operations_without_a_rule_are_refused(name: str) -> None:
    with pytest.raises(NoDualRuleError):
        REFUSED[name](dual(draws(0, 2, 5, 5, 4), draws(1, 2, 5, 5, 4)))


def test_a_result_without_a_tangent_is_refused() -> None:
    with pytest.raises(NoDualRuleError, match="not a dual"):
        parts(draws(0, 2, 3))


def test_modules_leave_no_trace_of_the_dual_in_their_weights() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.LayerNorm(4)).double()
    with torch.no_grad():
        out = module(dual(draws(0, 2, 4), draws(1, 2, 4)))
    assert isinstance(out, Dual)
    assert all(type(parameter) is nn.Parameter for parameter in module.parameters())


def jvp_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    halves = [x.chunk(2) for x in (q, k, v)]
    with sdpa_kernel(SDPBackend.MATH):
        values = torch.func.jvp(
            lambda *x: F.scaled_dot_product_attention(*x, scale=scale), *(tuple(h[i] for h in halves) for i in (0, 1))
        )
    return torch.cat(values)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    tokens=st.sampled_from([1, 7, 49, 300]),
    channels=st.integers(1, 9),
    scale=st.sampled_from([1e-3, 1.0, 8.0]),
)
def test_attention_matches_jvp(seed: int, tokens: int, channels: int, scale: float) -> None:
    q, k, v = (draws(seed + i, 4, 3, tokens, channels) for i in range(3))
    expected = jvp_attention(q, k, v, scale)
    torch.testing.assert_close(attention(q, k, v, scale), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), exponent=st.floats(-9.0, 0.0), shift=st.sampled_from([0.0, 1.0, 20.0]))
def test_linear_form_is_chosen_only_where_it_is_exact(
    dtype: torch.dtype, seed: int, exponent: float, shift: float
) -> None:
    """Whatever the size of the scores, and with keys and queries far from zero mean."""
    size = 10.0**exponent
    q, k, v = (draws(seed + i, 2, 5, 64, 8).to(dtype) for i in range(3))
    q, k = size * (q + shift), size * (k + shift)
    k = k - k.mean(-2, keepdim=True)
    linear = is_linear(q, k, v, 1.0)
    assert linear or exponent > -7.0 or dtype is torch.float64
    if linear:
        exact = exact_attention(q.double(), k.double(), v.double(), 1.0)
        error = (linear_attention(q, k, v, 1.0).double() - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
        assert error.max() <= 4.0 * torch.finfo(dtype).eps


def test_both_paths_agree_where_both_hold() -> None:
    q, k, v = (draws(i, 2, 6, 100, 8, scale=1e-9 if i < 2 else 1.0) for i in range(3))
    k = k - k.mean(-2, keepdim=True)
    assert is_linear(q, k, v, 0.3)
    torch.testing.assert_close(linear_attention(q, k, v, 0.3), exact_attention(q, k, v, 0.3), rtol=1e-12, atol=1e-14)

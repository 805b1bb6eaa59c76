"""The layers of M3ViT (arXiv 2210.14793) in the sizes of Edge-MoE (arXiv 2305.18691).

Tokens have the shape (batch, 1 + rows * columns, dim) throughout, the class token first.
"""

from __future__ import annotations

import torch
from timm.layers import DropPath, Mlp, trunc_normal_
from torch import Tensor, nn
from torch.nn import functional as F

from searchspaces.errors import NasError
from searchspaces.layers import QkvLinear

EPSILON = 1e-6  # of every LayerNorm, as in the accelerator


class Stem(nn.Module):
    """Patch embedding, class token and position table: (batch, channels, height, width) to tokens."""

    def __init__(self, in_channels: int, dim: int, patch: int, height: int, width: int) -> None:
        super().__init__()
        self.size = (height, width)
        self.projection = nn.Conv2d(in_channels, dim, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        tokens = height // patch * (width // patch) + 1
        self.position_embedding = nn.Parameter(torch.zeros(1, tokens, dim))
        trunc_normal_(self.class_token, std=0.02)
        trunc_normal_(self.position_embedding, std=0.02)

    def forward(self, image: Tensor) -> Tensor:
        if tuple(image.shape[-2:]) != self.size:
            there, here = ("x".join(map(str, size)) for size in (image.shape[-2:], self.size))
            raise NasError(f"images of {there} pixels do not fit a network for {here}; give aspect=1 for square ones")
        patches = self.projection(image).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(patches.shape[0], -1, -1), patches], dim=1)
        return tokens + self.position_embedding


class Attention(nn.Module):
    """Multi-head self-attention over all tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = QkvLinear(dim, 3 * dim)
        self.projection = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(self.qkv(x))
        return self.projection(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def split(self, qkv: Tensor) -> tuple[Tensor, ...]:
        """Return queries, keys and values, each (batch, heads, tokens, head_dim)."""
        return tuple(x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in qkv.chunk(3, dim=-1))


class ExpertLinear(nn.Linear):
    """A linear layer on the (count, features) tokens of one expert.

    It multiplies with the transposed weight itself, and so tells whoever watches `torch.nn.functional.linear` image by
    image (the tangent kernel does) that its rows are no images.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight.t())


class Expert(nn.Module):
    """Linear, exact GELU, linear, on the (count, dim) tokens that chose it."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = ExpertLinear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = ExpertLinear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class MixtureOfExperts(nn.Module):
    """Each token goes through the `top_k` experts of the largest probability; their outputs are added, weighted by it.

    The gate is linear without bias, a softmax over all experts, and no noise; the probabilities of the chosen are
    **not** made to add up to one (M3ViT; the accelerator does the same). Tokens are gathered expert by expert, so the
    work is that of `top_k` experts per token. Without values (on the meta device) the queues are taken to be equally
    long.

    Shapes: (batch, tokens, dim) to the same.
    """

    def __init__(self, dim: int, experts: int, top_k: int, hidden: int) -> None:
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Linear(dim, experts, bias=False)
        self.experts = nn.ModuleList(Expert(dim, hidden) for _ in range(experts))

    def forward(self, x: Tensor) -> Tensor:
        scores, chosen = self.route(self.gate(x))
        tokens, chosen = x.flatten(0, 1), chosen.flatten()
        order = chosen.argsort(stable=True)  # expert by expert, tokens in their order
        source = order // self.top_k
        queues = tokens[source].split(self.queue_lengths(chosen))
        done = torch.cat([expert(queue) for expert, queue in zip(self.experts, queues, strict=True) if len(queue)])
        weighted = done * scores.flatten()[order].unsqueeze(-1)
        return torch.zeros_like(tokens).index_add(0, source, weighted.to(tokens.dtype)).view_as(x)

    def route(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and numbers of the chosen experts, each (batch, tokens, top_k)."""
        scores, chosen = logits.softmax(-1).topk(self.top_k, dim=-1)
        return scores, chosen

    def queue_lengths(self, chosen: Tensor) -> list[int]:
        """Return how many of the (batch * tokens * top_k) choices fall on each expert."""
        count = len(self.experts)
        if chosen.is_meta:
            share, rest = divmod(len(chosen), count)
            return [share + (place < rest) for place in range(count)]
        lengths: list[int] = torch.bincount(chosen, minlength=count).tolist()
        return lengths


class Block(nn.Module):
    """Pre-norm transformer layer: x + Attention(LN(x)), then x + FFN(LN(x)), dense or a mixture of experts.

    Args:
        experts, top_k: of the mixture; 0 experts: a dense MLP.
        hidden: width of the MLP, or of each expert.
    """

    def __init__(self, dim: int, heads: int, hidden: int, experts: int, top_k: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=EPSILON)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=EPSILON)
        self.ffn = MixtureOfExperts(dim, experts, top_k, hidden) if experts else Mlp(dim, hidden)
        self.drop_path = DropPath(0.0)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attention(self.norm1(x)))
        return x + self.drop_path(self.ffn(self.norm2(x)))


class Head(nn.Module):
    """LayerNorm and linear classifier of the class token: tokens to (batch, classes)."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=EPSILON)
        self.classifier = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.norm(x[:, 0]))

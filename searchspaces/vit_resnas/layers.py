"""The layers of ViT-ResNAS (arXiv 2109.00642).

Tokens have the shape (batch, 1 + side * side, dim) throughout, the class token first.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from timm.layers import DropPath, Mlp, trunc_normal_
from torch import Tensor, nn
from torch.nn import functional as F

from searchspaces.layers import QkvLinear

EPSILON = 1e-6  # of every LayerNorm; the framework's own is 1e-5


class Convolutions(nn.Module):
    """Three 3 x 3 convolutions, each with BatchNorm and ReLU, that halve the image.

    The first has stride 2; what it gives is added to what the other two make of it.

    Shapes: (batch, channels, size, size) to (batch, width, size / 2, size / 2).
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.entry = self._layer(in_channels, width, 2)
        self.residual = nn.Sequential(self._layer(width, width, 1), self._layer(width, width, 1))

    @staticmethod
    def _layer(channels: int, width: int, stride: int) -> nn.Sequential:
        convolution = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        layers = {"convolution": convolution, "norm": nn.BatchNorm2d(width), "activation": nn.ReLU()}
        return nn.Sequential(OrderedDict(layers))

    def forward(self, image: Tensor) -> Tensor:
        x = self.entry(image)
        return self.residual(x) + x


class Stem(nn.Module):
    """Patch embedding, class token and position table: (batch, channels, size, size) to tokens.

    Args:
        in_channels: channels of the image.
        dim: width of the tokens.
        patch: side of a patch, pixels.
        side: patches per side of the image.
        width: channels of the convolutions before the embedding, None for none; they halve the image, so the
            embedding's kernel is then half a patch.
    """

    def __init__(self, in_channels: int, dim: int, patch: int, side: int, width: int | None) -> None:
        super().__init__()
        self.convolutions = nn.Identity() if width is None else Convolutions(in_channels, width)
        kernel = patch if width is None else patch // 2
        self.projection = nn.Conv2d(in_channels if width is None else width, dim, kernel, stride=kernel)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.position_embedding = nn.Parameter(torch.zeros(1, 1 + side * side, dim))
        trunc_normal_(self.class_token, std=0.02)
        trunc_normal_(self.position_embedding, std=0.02)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.projection(self.convolutions(image)).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(patches.shape[0], -1, -1), patches], dim=1)
        return tokens + self.position_embedding


class Attention(nn.Module):
    """Multi-head self-attention over all tokens; ``heads * head_dim`` channels, which need not be `dim`."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.qkv = QkvLinear(dim, 3 * heads * head_dim)
        self.projection = nn.Linear(heads * head_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, -1, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.projection(out.transpose(1, 2).reshape(batch, tokens, -1))


class Block(nn.Module):
    """Pre-norm transformer block: x + Attention(LN(x)), then x + MLP(LN(x)) with exact GELU."""

    def __init__(self, dim: int, heads: int, head_dim: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=EPSILON)
        self.attention = Attention(dim, heads, head_dim)
        self.norm2 = nn.LayerNorm(dim, eps=EPSILON)
        self.mlp = Mlp(dim, hidden)
        self.drop_path = DropPath(0.0)  # stochastic depth is a matter of training, which sets the rate

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attention(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Reduction(nn.Module):
    """Residual spatial reduction: tokens of a side x side map to tokens of half the side and `out_dim` channels.

    The class token goes through a linear layer, the map through a convolution with stride 2 and a position table, all
    after one LayerNorm. The tokens as they came, the map averaged 2 x 2 and the channels filled up with zeros, are
    added.

    Args:
        dim, out_dim: width before and after, ``dim <= out_dim``.
        side: patch tokens per side before, even.
    """

    def __init__(self, dim: int, out_dim: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.norm = nn.LayerNorm(dim, eps=EPSILON)
        self.convolution = nn.Conv2d(dim, out_dim, 3, stride=2, padding=1)
        self.class_projection = nn.Linear(dim, out_dim)
        self.position_embedding = nn.Parameter(torch.zeros(1, (side // 2) ** 2, out_dim))
        trunc_normal_(self.position_embedding, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        patches = self.convolution(self._map(normed)).flatten(2).transpose(1, 2) + self.position_embedding
        main = torch.cat([self.class_projection(normed[:, :1]), patches], dim=1)
        pooled = F.avg_pool2d(self._map(x), 2).flatten(2).transpose(1, 2)
        skip = torch.cat([x[:, :1], pooled], dim=1)
        return main + F.pad(skip, (0, main.shape[-1] - skip.shape[-1]))

    def _map(self, x: Tensor) -> Tensor:
        """Return the (batch, dim, side, side) map of the patch tokens."""
        return x[:, 1:].transpose(1, 2).unflatten(2, (self.side, self.side))


class Head(nn.Module):
    """LayerNorm and linear classifier of the class token: tokens to (batch, classes)."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=EPSILON)
        self.classifier = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.norm(x[:, 0]))

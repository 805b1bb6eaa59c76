"""The layers of As-ViT (sheet section 1). Token maps have the shape (batch, side, side, dim) throughout."""

from __future__ import annotations

import torch
from timm.layers import DropPath, Mlp, trunc_normal_
from torch import Tensor, nn
from torch.nn import functional as F

from searchspaces.asvit.geometry import STEM_STRIDE
from searchspaces.layers import QkvLinear


class Stem(nn.Module):
    """Convolution with stride 4 and LayerNorm: (batch, channels, size, size) to (batch, side, side, dim).

    Sizes that 4 does not divide are padded at the right and the bottom.
    """

    def __init__(self, in_channels: int, dim: int, kernel: int, side: int, position_embedding: bool) -> None:
        super().__init__()
        self.side = side
        self.before = (kernel - STEM_STRIDE) // 2
        self.after = (kernel - STEM_STRIDE + 1) // 2
        self.projection = nn.Conv2d(in_channels, dim, kernel, stride=STEM_STRIDE)
        self.norm = nn.LayerNorm(dim)
        self.position_embedding = nn.Parameter(torch.zeros(1, side, side, dim)) if position_embedding else None
        if self.position_embedding is not None:
            trunc_normal_(self.position_embedding, std=0.02)

    def forward(self, image: Tensor) -> Tensor:
        after = self.after + self.side * STEM_STRIDE - image.shape[-1]
        x = self.projection(F.pad(image, (self.before, after, self.before, after)))
        x = self.norm(x.permute(0, 2, 3, 1))
        return x if self.position_embedding is None else x + self.position_embedding


class WindowAttention(nn.Module):
    """Multi-head self-attention inside non-overlapping windows, never shifted, without position bias.

    Where the window does not divide the map, the windows at the right and the bottom are the smaller rest.
    A head has ``dim // heads`` channels; together they may be fewer than `dim`.
    """

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        inner = dim // heads * heads
        self.qkv = QkvLinear(dim, 3 * inner)
        self.projection = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        side, window = x.shape[1], self.window
        qkv = self.qkv(x)
        rest = side % window
        if rest == 0:
            return self.projection(self._attend(qkv, window, window))
        bands = ((side - rest, window), (rest, rest))
        rows = []
        for row, (_, height) in zip(qkv.split([size for size, _ in bands], dim=1), bands, strict=True):
            cells = zip(row.split([size for size, _ in bands], dim=2), bands, strict=True)
            rows.append(torch.cat([self._attend(cell, height, width) for cell, (_, width) in cells], dim=2))
        return self.projection(torch.cat(rows, dim=1))

    def _attend(self, qkv: Tensor, height: int, width: int) -> Tensor:
        """Attend inside windows of height x width, which divide the (batch, rows, columns, 3 * inner) map."""
        _, rows, columns, _ = qkv.shape
        down, across = rows // height, columns // width
        q, k, v = (
            part.reshape(-1, down, height, across, width, self.heads, part.shape[-1] // self.heads)
            .permute(0, 1, 3, 5, 2, 4, 6)
            .reshape(-1, self.heads, height * width, part.shape[-1] // self.heads)
            for part in qkv.chunk(3, dim=-1)
        )
        out = F.scaled_dot_product_attention(q, k, v)
        out = out.reshape(-1, down, across, self.heads, height, width, out.shape[-1])
        return out.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, rows, columns, self.heads * out.shape[-1])


class Block(nn.Module):
    """Pre-norm transformer block: x + Attention(LN(x)), then x + MLP(LN(x)) with exact GELU."""

    def __init__(self, dim: int, heads: int, hidden: int, window: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, hidden)
        self.drop_path = DropPath(0.0)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attention(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Merging(nn.Module):
    """Overlapping token merging: unfold K x K with stride 2 (channel, row, column), LayerNorm, Linear without bias.

    An odd map is padded by one token at the right and the bottom.
    """

    def __init__(self, dim: int, out_dim: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.norm = nn.LayerNorm(kernel * kernel * dim)
        self.reduction = nn.Linear(kernel * kernel * dim, out_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        before = (self.kernel - 2) // 2
        after = (self.kernel - 1) // 2 + x.shape[1] % 2
        x = F.pad(x, (0, 0, before, after, before, after))
        x = x.unfold(1, self.kernel, 2).unfold(2, self.kernel, 2).flatten(3)
        return self.reduction(self.norm(x))


class Head(nn.Module):
    """LayerNorm, mean over the tokens, Linear, tanh, Linear: (batch, side, side, dim) to (batch, classes)."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.hidden = nn.Linear(dim, dim)
        self.classifier = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.norm(x).mean((1, 2))
        return self.classifier(torch.tanh(self.hidden(pooled)))

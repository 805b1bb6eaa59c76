"""A trained M3ViT as the accelerator computes it: the same weights in its formats, with its approximations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from timm.layers import Mlp
from torch import Tensor, nn

from hardware.edge_moe import fixed_point as fixed
from hardware.edge_moe.fixed_point import ACTIVATION, ATTENTION_BIAS, BIAS, NORM, PATCH_WEIGHT, WEIGHT, Format
from searchspaces import NasError
from searchspaces.m3vit.layers import Attention, Block, Expert, MixtureOfExperts, Stem
from searchspaces.m3vit.model import M3ViT


class FixedM3ViT(nn.Module):
    """Runs stem and layers in the accelerator's arithmetic and the classifier, on the processor, in floating point.

    Shapes: (batch, channels, height, width) normalised images to (batch, classes). About thirteen times
    slower than the network itself; for evaluation only, without gradients. Where a format cannot hold the parameters of
    a layer, its point is moved, as a build of its own would.

    Args:
        model: trained; it is left as it was.
        mean, std: of the normalisation of the images, per channel. The accelerator reads 8-bit pixels, so it is made
            part of the patch embedding.

    Raises:
        NasError: if the network is no `M3ViT`.
    """

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if not isinstance(model, M3ViT):
            raise NasError(f"the emulation takes networks of the space m3vit, not {type(model).__name__}")
        stem, *blocks = model.body
        self.stem = FixedStem(cast(Stem, stem), mean, std)
        self.blocks = nn.ModuleList(FixedBlock(cast(Block, block)) for block in blocks)
        self.head = model.head

    @torch.no_grad()
    def forward_tokens(self, image: Tensor) -> Tensor:
        """Return the (batch, tokens, dim) activations after the last layer, float64: what the accelerator writes."""
        x = self.stem(image)
        for block in self.blocks:
            x = block(x)
        return x

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.forward_tokens(image).to(image.dtype))


class FixedStem(nn.Module):
    """Patch embedding of 8-bit pixels, class token and position table."""

    pixel_steps = 256

    def __init__(self, stem: Stem, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        weight, bias = stem.projection.weight.double(), stem.projection.bias
        assert bias is not None  # the stem's convolution has one
        shape = (1, -1, 1, 1)
        means, deviations = (torch.tensor(x, dtype=torch.float64).reshape(shape).to(weight.device) for x in (mean, std))
        folded = weight / deviations
        self.stride = stem.projection.stride
        self.weight = _stored(folded, PATCH_WEIGHT)
        self.bias = _stored(bias.double() - (folded * means).sum((1, 2, 3)), BIAS)
        self.mean, self.std = _constant(means), _constant(deviations)
        self.class_token = _stored(stem.class_token, ACTIVATION)
        self.position_embedding = _stored(stem.position_embedding, ACTIVATION)

    def forward(self, image: Tensor) -> Tensor:
        levels = ((image.double() * self.std + self.mean) * self.pixel_steps).floor()
        pixels = levels.clamp(0, self.pixel_steps - 1) / self.pixel_steps
        patches = nn.functional.conv2d(pixels, self.weight, self.bias, stride=self.stride)
        tokens = ACTIVATION(patches).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
        return ACTIVATION(tokens + self.position_embedding)


class FixedLinear(nn.Module):
    """A linear layer with weights and bias in their formats."""

    def __init__(self, layer: nn.Linear, bias: Format = BIAS) -> None:
        super().__init__()
        self.weight = _stored(layer.weight, WEIGHT)
        self.bias = None if layer.bias is None else _stored(layer.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        return fixed.linear(x, self.weight, self.bias)


class FixedNorm(nn.Module):
    """LayerNorm with scale and shift in their formats."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias = _stored(norm.weight, NORM), _stored(norm.bias, BIAS)

    def forward(self, x: Tensor) -> Tensor:
        return fixed.layer_norm(x, self.weight, self.bias)


class FixedAttention(nn.Module):
    """Multi-head attention with the single-pass softmax."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.split = attention.split
        self.qkv = FixedLinear(attention.qkv, ATTENTION_BIAS)
        self.projection = FixedLinear(attention.projection, ATTENTION_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(self.qkv(x))
        return self.projection(fixed.attention(q, k, v).transpose(1, 2).flatten(2))


class FixedMlp(nn.Module):
    """Linear, table GELU, linear."""

    def __init__(self, mlp: Mlp | Expert) -> None:
        super().__init__()
        self.fc1, self.fc2 = (FixedLinear(cast(nn.Linear, layer)) for layer in (mlp.fc1, mlp.fc2))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(fixed.gelu(self.fc1(x)))


class FixedMixture(nn.Module):
    """Gate, experts, and the sum of what they give, weighted by the gate's scores."""

    def __init__(self, mixture: MixtureOfExperts) -> None:
        super().__init__()
        self.top_k = mixture.top_k
        self.gate = FixedLinear(mixture.gate)
        self.experts = nn.ModuleList(FixedMlp(cast(Expert, expert)) for expert in mixture.experts)

    def forward(self, x: Tensor) -> Tensor:
        scores, chosen = fixed.choose_experts(self.gate(x), self.top_k)
        total = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            *where, rank = torch.nonzero(chosen == number, as_tuple=True)
            if len(rank):
                weighted = ACTIVATION(expert(x[tuple(where)]) * scores[(*where, rank)].unsqueeze(-1))
                total[tuple(where)] = ACTIVATION(total[tuple(where)] + weighted)
        return total


class FixedBlock(nn.Module):
    """One transformer layer."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.norm1, self.norm2 = FixedNorm(block.norm1), FixedNorm(block.norm2)
        self.attention = FixedAttention(block.attention)
        ffn = block.ffn
        self.ffn = FixedMixture(ffn) if isinstance(ffn, MixtureOfExperts) else FixedMlp(ffn)

    def forward(self, x: Tensor) -> Tensor:
        x = ACTIVATION(x + self.attention(self.norm1(x)))
        return ACTIVATION(x + self.ffn(self.norm2(x)))


def _stored(tensor: Tensor, form: Format) -> nn.Parameter:
    """Return parameters as the accelerator stores them."""
    return _constant(form.holding(tensor.detach())(tensor.detach()))


def _constant(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)

"""A network of parts that run one after the other."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from timm.layers import trunc_normal_
from torch import Tensor, nn

if TYPE_CHECKING:
    from searchspaces.part import Part


class Chain(nn.Module):
    """Runs the parts in order, the last of which is the head.

    Linear weights are normal with standard deviation 0.02 (cut at +-2), their biases zero; everything else keeps what
    its part or the framework gives it.

    Shapes: (batch, channels, height, width) to (batch, classes).
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        *body, head = parts
        self.body = nn.Sequential(OrderedDict((part.name.replace(".", "_"), part.build()) for part in body))
        self.head = head.build()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.body(image))

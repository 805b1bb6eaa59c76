"""Spaces for tests of super-networks, and weights filled by the rule of the shared vectors."""

from __future__ import annotations

import numpy as np
import torch

from searchspaces import Architecture, Dimension, NasError, SearchSpace, get_space, register_space
from searchspaces.vit_resnas import Layout, StageLayout, ViTResNASSpace


@register_space
class NestedToySpace(SearchSpace):
    """Every kind of elastic layer once: convolution, batch and layer norms, attention by heads, MLP, table, depth."""

    name = "nested_toy"
    image_sizes = (8, 8)
    dimensions = (
        Dimension("stem", (2, 3, 5)),
        Dimension("dim", (4, 6, 8)),
        Dimension("heads", (1, 2, 3)),
        Dimension("block2.present", (False, True)),
        Dimension("block2.hidden", (3, 5, 7), active_when=("block2.present", (True,))),
        Dimension("kernel", (1, 3)),
    )

    def build(self, architecture: Architecture):
        from torch import nn

        from searchspaces.layers import QkvLinear

        class Attention(nn.Module):
            def __init__(self, dim, heads):
                super().__init__()
                self.heads = heads
                self.qkv = QkvLinear(dim, 3 * heads * 2)
                self.projection = nn.Linear(heads * 2, dim)

            def forward(self, x):
                q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, 2)).permute(2, 0, 3, 1, 4)
                out = nn.functional.scaled_dot_product_attention(q, k, v)
                return x + self.projection(out.transpose(1, 2).flatten(2))

        class Mlp(nn.Module):
            def __init__(self, dim, hidden):
                super().__init__()
                self.norm = nn.LayerNorm(dim)
                self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

            def forward(self, x):
                return x + self.fc2(torch.tanh(self.fc1(self.norm(x))))

        class Network(nn.Module):
            def __init__(self, choices, channels, classes):
                super().__init__()
                kernel = choices["kernel"]
                self.stem = nn.Conv2d(channels, choices["stem"], kernel, padding=kernel // 2)
                self.batch_norm = nn.BatchNorm2d(choices["stem"])
                self.embed = nn.Conv2d(choices["stem"], choices["dim"], 4, stride=4)
                self.position = nn.Parameter(torch.randn(1, 4, choices["dim"]))
                self.block1 = Attention(choices["dim"], choices["heads"])
                self.block2 = Mlp(choices["dim"], choices["block2.hidden"]) if choices["block2.present"] else None
                self.head = nn.Linear(choices["dim"], classes)

            def forward(self, x):
                x = self.embed(self.batch_norm(self.stem(x))).flatten(2).transpose(1, 2) + self.position
                x = self.block1(x)
                return self.head((x if self.block2 is None else self.block2(x)).mean(1))

        return Network(architecture.choices, architecture.in_channels, architecture.num_classes)


@register_space
class MicroSpace(ViTResNASSpace):
    """The super-network of the vectors `slicing`, `multi_arch_batch` and `rewiring`."""

    name = "vit_resnas_micro"
    layout = Layout(
        (
            StageLayout((8, 12, 16), 8, (2, 3, 4), (16, 32, 48), 2, (2,)),
            StageLayout((20, 24, 32), 8, (2, 3, 4), (32, 64, 96), 2, (2,)),
            StageLayout((32, 40, 48), 16, (2, 3, 4), (96, 128), 1, ()),
        )
    )


def member(space: str, network_def: list, image_size: int) -> Architecture:
    """Return the architecture that a vector's list of entries stands for."""
    choices: dict = {"stage1.dim": network_def[0][1]}
    stage, block = 1, 0
    for kind, *entry in network_def[1:-1]:
        if kind == 3:
            stage, block = stage + 1, 0
            choices[f"stage{stage}.dim"] = entry[1]
            continue
        block += 1
        (_, heads, _), (_, hidden), exists = entry
        choices |= {f"stage{stage}.block{block}.heads": heads, f"stage{stage}.block{block}.hidden": hidden}
        if any(d.name == f"stage{stage}.block{block}.present" for d in get_space(space).dimensions):
            choices[f"stage{stage}.block{block}.present"] = bool(exists)
        elif not exists:
            raise NasError(f"block {block} of stage {stage} cannot be absent")
    return get_space(space).architecture(choices, image_size, 3, network_def[-1][2])


def numbers(shape: tuple[int, ...], place: int) -> torch.Tensor:
    """Return numbers in [-1, 1) from integer arithmetic modulo 2^32, float64."""
    count, low = int(np.prod(shape)), np.uint64(2**32 - 1)
    h = (np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64((place + 1) * 2654473011 % 2**32)) & low
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        h = ((h ^ (h >> np.uint64(shift))) * np.uint64(factor)) & low
    h ^= h >> np.uint64(16)
    return torch.from_numpy(2 * (h.astype(np.float64) / 2**32) - 1).reshape(shape)


@torch.no_grad()
def fill(supernet: torch.nn.Module) -> None:
    """Fill a ViT-ResNAS super-network, in float64, in the order of the vectors: tables last, then the patch head."""
    state = {n: t for n, t in supernet.state_dict(keep_vars=True).items() if not n.endswith("num_batches_tracked")}
    parts = list(dict.fromkeys(part_of(name) for name in state))
    in_order = sorted(state, key=lambda name: (parts.index(part_of(name)), "class_token" in name or "position" in name))
    in_order.sort(key=lambda name: name.startswith("patch_head"))
    for place, name in enumerate(in_order):
        tensor, s = state[name], numbers(tuple(state[name].shape), place)
        if "class_token" in name or "position" in name:
            value = 0.5 * s
        elif name.endswith(("running_mean", "bias")):
            value = 0.1 * s
        elif name.endswith("running_var"):
            value = 1 + 0.5 * s
        elif tensor.dim() > 1:
            value = s * (3 / tensor[0].numel()) ** 0.5
        else:
            value = 1 + 0.2 * s
        tensor.copy_(value)


def part_of(name: str) -> str:
    """Return the part of the network a tensor is in."""
    pieces = name.split(".")
    return ".".join(pieces[:3]) if pieces[1] == "body" else ".".join(pieces[:2])

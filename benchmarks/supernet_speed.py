"""What slicing saves: a super-network's sub-networks run as slices, beside masks at full width, in one run, one thread.

    python benchmarks/supernet_speed.py            about three minutes
    python benchmarks/supernet_speed.py --quick    fewer draws and images, one minute

`vit_resnas_tiny` at 224 px, fp32, training outputs with the patch head. A training step has 16 images and two
architectures; the sliced step runs the samples of each architecture together, the masked one runs the mixed batch
through the largest network, zeroes what an architecture does not have, and normalises over the channels that are alive
(arXiv 2109.00642; the backward pass of the masked LayerNorm is written out, as automatic differentiation would make
it slower). Architectures are drawn as training draws them after the warm-up. Times are CPU seconds of the thread.
Memory is the growth of the process's resident set over one step, each kind in a process of its own (Linux).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.supernet.body import Outputs, token_shape
from evaluators.supernet.evaluation import CachedSplit, subnet_accuracy
from evaluators.supernet.gradients import GradientBuffer
from evaluators.supernet.meta import on_meta
from evaluators.supernet.mixing import Targets, smooth_targets
from evaluators.supernet.sampling import Elastic
from evaluators.supernet.step import interleaved_step, loss_of
from evaluators.supernet.supernet import Supernet
from searchspaces import Architecture, get_space

BATCH, ARCHITECTURES, EVALUATED = 16, 2, 256


class MaskedLayerNorm(torch.autograd.Function):
    """LayerNorm over the first channels of each sample; x is zero beyond them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mask: Tensor, epsilon: float) -> Tensor:
        alive = mask.sum(-1, keepdim=True)
        mean = x.sum(-1, keepdim=True) / alive
        deviation = (x.square().sum(-1, keepdim=True) / alive - mean.square() + epsilon).sqrt()
        z = (x - mean) / deviation * mask
        ctx.save_for_backward(z, deviation, weight, mask)
        return (z * weight + bias) * mask

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        z, deviation, weight, mask = ctx.saved_tensors
        dy = dy * mask
        dz = dy * weight
        alive = mask.sum(-1, keepdim=True)
        dx = (dz - (dz.sum(-1, keepdim=True) + z * (z * dz).sum(-1, keepdim=True)) / alive) / deviation * mask
        return dx, (dy * z).flatten(0, 1).sum(0), dy.flatten(0, 1).sum(0), None, None


def prefix(sizes: Sequence[int], total: int, like: Tensor) -> Tensor:
    """Return (batch, 1, total) masks with ones up to the sizes."""
    return (torch.arange(total) < torch.tensor(sizes)[:, None]).to(like.dtype)[:, None, :]


def masked_forward(supernet: Supernet, images: Tensor, architectures: Sequence[Architecture]) -> Outputs:
    """Return the outputs of sample n through architecture n mod A, all at full width."""
    network: Any = supernet.network
    samples = [dict(architectures[n % len(architectures)].choices) for n in range(len(images))]
    stage = 1

    def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
        return MaskedLayerNorm.apply(x, layer.weight, layer.bias, alive, layer.eps)

    def widths(stage: int, total: int) -> Tensor:
        return prefix([int(choices[f"stage{stage}.dim"]) for choices in samples], total, images)

    for name, part in network.body.named_children():
        if name == "stem":
            x = part(images)
            alive = widths(1, x.shape[-1])
            x = x * alive
        elif name.endswith("reduction"):
            stage += 1
            normed = norm(part.norm, x)
            patches = part.convolution(part._map(normed)).flatten(2).transpose(1, 2) + part.position_embedding
            main = torch.cat([part.class_projection(normed[:, :1]), patches], dim=1)
            skip = torch.cat([x[:, :1], F.avg_pool2d(part._map(x), 2).flatten(2).transpose(1, 2)], dim=1)
            alive = widths(stage, main.shape[-1])
            x = (main + F.pad(skip, (0, main.shape[-1] - skip.shape[-1]))) * alive
        else:
            block = name.replace("_", ".")
            x = masked_block(part, block, samples, x, alive, norm)
    tokens = norm(network.head.norm, x)
    assert supernet.patch_head is not None
    return Outputs(network.head.classifier(tokens[:, 0]), supernet.patch_head(tokens[:, 1:]))


def masked_block(
    part: Any,
    name: str,
    samples: Sequence[dict[str, Any]],
    x: Tensor,
    alive: Tensor,
    norm: Callable[[nn.LayerNorm, Tensor], Tensor],
) -> Tensor:
    """Return what a block gives; an absent one gives nothing to the residual."""
    present = alive * torch.tensor([f"{name}.heads" in choices for choices in samples])[:, None, None]
    attention, head_dim = part.attention, part.attention.head_dim
    heads = prefix(
        [choices.get(f"{name}.heads", 0) * head_dim for choices in samples], attention.projection.in_features, x
    )
    batch, tokens, _ = x.shape
    qkv = attention.qkv(norm(part.norm1, x)).reshape(batch, tokens, 3, -1, head_dim)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, -1)
    x = x + attention.projection(mixed * heads) * present
    hidden = prefix([choices.get(f"{name}.hidden", 0) for choices in samples], part.mlp.fc1.out_features, x)
    return x + part.mlp.fc2(F.gelu(part.mlp.fc1(norm(part.norm2, x))) * hidden) * present


class Bench:
    """A super-network with a batch, and both kinds of step."""

    def __init__(self, space: str, image_size: int, classes: int) -> None:
        torch.manual_seed(0)
        largest = get_space(space).largest(image_size=image_size, num_classes=classes)
        with on_meta():  # the initialisation of a training takes ten seconds and is not what is timed
            supernet = Supernet(largest, patch_head=True)
        self.supernet = supernet.to_empty(device="cpu").train()
        for name, tensor in self.supernet.state_dict().items():
            tensor.copy_(torch.ones_like(tensor) if "norm" in name else 0.02 * torch.randn_like(tensor))
        self.buffer = GradientBuffer(self.supernet)
        self.elastic = Elastic.of(largest, lambda architecture: self.supernet.fits(architecture) is None)
        self.rng = np.random.default_rng(0)
        self.images = torch.randn(BATCH, 3, image_size, image_size)
        self.labels = torch.randint(classes, (BATCH,))
        classes_ = smooth_targets(self.labels, classes, 0.1)
        tokens = token_shape(largest)
        assert tokens is not None
        cells = tokens[0]
        self.targets = Targets(classes_, classes_[:, None, :].repeat(1, cells, 1))

    def draw(self, count: int) -> list[Architecture]:
        return self.elastic.draw(count, self.rng, 0, 0)

    def sliced(self, architectures: Sequence[Architecture]) -> Tensor:
        self.buffer.flat.zero_()
        return interleaved_step(
            self.supernet, self.buffer, self.images, self.targets, architectures, lambda: nullcontext()
        )

    def masked(self, architectures: Sequence[Architecture]) -> Tensor:
        self.buffer.flat.zero_()
        loss = loss_of(masked_forward(self.supernet, self.images, architectures), self.targets)
        loss.backward()
        return loss.detach()


def seconds(work: Callable[[], Any]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def training(bench: Bench, pairs: int) -> None:
    """Print times of training steps, and how much the gradients differ."""
    drawn = [bench.draw(ARCHITECTURES) for _ in range(pairs)]
    bench.sliced(drawn[0])
    gradients = bench.buffer.flat.clone()
    bench.masked(drawn[0])
    difference = (gradients - bench.buffer.flat).abs().max() / gradients.abs().max()
    full, sliced = [], []
    for number, pair in enumerate(drawn):
        sliced.append(seconds(lambda pair=pair: bench.sliced(pair)))  # type: ignore[misc]
        if number % 2 == 0:  # its work is the same for every pair
            full.append(seconds(lambda pair=pair: bench.masked(pair)))  # type: ignore[misc]
    masked, mean = float(np.mean(full)), float(np.mean(sliced))
    print(
        f"training step, A={ARCHITECTURES}, {BATCH} images: masked {masked:.3f} s, sliced {mean:.3f} s "
        f"(mean of {pairs} draws, {min(sliced):.3f} to {max(sliced):.3f}): {masked / mean:.2f} times the images/s; "
        f"gradients differ by {difference:.0e} of the largest",
        flush=True,
    )


def evaluation(bench: Bench, networks: int, images: int) -> None:
    """Print times of evaluating random sub-networks, scaled to EVALUATED images."""
    pixels = torch.randn(images, *bench.images.shape[1:])
    split = CachedSplit(pixels, torch.zeros(images, dtype=torch.int64))
    drawn = bench.draw(networks)
    bench.supernet.eval()
    batch, scale = min(32, images), EVALUATED / images

    def masked() -> None:
        with torch.inference_mode():
            for part in pixels.split(batch):
                masked_forward(bench.supernet, part, drawn[:1])

    plain = scale * seconds(masked)
    sliced = [
        scale * seconds(lambda one=one: subnet_accuracy(bench.supernet, [one], split, batch_size=batch))  # type: ignore[misc]
        for one in drawn
    ]
    mean = float(np.mean(sliced))
    note = "" if scale == 1 else f", {images} timed and scaled"
    print(
        f"evaluating a sub-network on {EVALUATED} images{note}: masked {plain:.2f} s, sliced {mean:.2f} s "
        f"(mean of {networks} draws): {plain / mean:.2f} times as fast",
        flush=True,
    )


def memory() -> None:
    """Print the growth of the resident set over a step, each kind in its own process."""
    found = {}
    for kind in ("masked", "sliced"):
        child = [sys.executable, __file__, "--memory-of", kind]
        found[kind] = float(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    print(
        f"memory of a training step beyond weights and gradients: masked {found['masked']:.0f} MB, "
        f"sliced {found['sliced']:.0f} MB: {found['masked'] / found['sliced']:.2f} times less",
        flush=True,
    )


def memory_of(bench: Bench, kind: str) -> None:
    """Print the growth of the resident set; Linux only, which lets a process reset its own peak."""
    bench.buffer.flat.fill_(0.0)  # so that its pages exist
    drawn = bench.draw(ARCHITECTURES)
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    before = status_mb("VmRSS")
    (bench.masked if kind == "masked" else bench.sliced)(drawn)
    print(status_mb("VmHWM") - before)


def status_mb(key: str) -> float:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer draws and images")
    parser.add_argument("--memory-of", choices=("masked", "sliced"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench("vit_resnas_tiny", 224, 1000)
    if options.memory_of:
        memory_of(bench, options.memory_of)
        return
    training(bench, 2 if options.quick else 6)
    evaluation(bench, 2 if options.quick else 6, 8 if options.quick else 32)
    memory()


if __name__ == "__main__":
    main()

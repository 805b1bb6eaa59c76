"""How fast the proxies are, beside their plain definitions, in one run with one thread.

    python benchmarks/proxy_speed.py            about four minutes
    python benchmarks/proxy_speed.py --quick    half a minute: 64 px only

Times are CPU seconds of the thread, the least of some repeats. The plain definitions are those of the authors' code:
for `length` a reverse pass per output coordinate and batch of angles (6, then 4), for `ntk` a reverse pass through the
whole batch per image; attention is softmax(q k^T) v written out, or torch's fused kernel in the second column. Of the
256 coordinates and 16 images of the large network a few are timed and scaled up.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from evaluators import get_metric
from evaluators.proxies.curve import circle, length_terms
from evaluators.proxies.initialise import draw_network, generator
from evaluators.proxies.kernel import ntk_gram
from searchspaces import Architecture, get_space

CANDIDATES, REPEATS, CORES = 500, 5, 2  # `--preset paper`
ANGLE_BATCHES = (6, 4)
IMAGES = 16


class WrittenOutAttention(TorchFunctionMode):
    """Attention as the authors' code has it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            query, key, value = args
            return (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(dim=-1) @ value
        return func(*args, **(kwargs or {}))


def cpu_seconds(work: Callable[[], Any], times: int) -> tuple[float, Any]:
    """Return the least CPU time of some runs, and what the last one gave."""
    least = math.inf
    for _ in range(times):
        start = time.thread_time()
        result = work()
        least = min(least, time.thread_time() - start)
    return least, result


def plain_length(network: nn.Module, first: Tensor, second: Tensor, coordinates: int | None) -> tuple[float, float]:
    """Return CPU seconds and the length (NaN when only some coordinates were run) of the loop over coordinates."""
    network.requires_grad_(True)  # the authors' loop fills the gradients of the weights, too
    angles = torch.linspace(0.0, 2.0 * math.pi, sum(ANGLE_BATCHES))
    seconds, speeds = 0.0, []
    for part in angles.split(ANGLE_BATCHES):
        theta = part.clone().requires_grad_()
        start = time.thread_time()
        cosine, sine = (f(theta)[:, None, None, None] for f in (torch.cos, torch.sin))
        features = network.forward_features(cosine * first + sine * second)  # type: ignore[operator]
        sums = features.sum(0)
        seconds += time.thread_time() - start
        squares = torch.zeros_like(part)
        wanted = len(sums) if coordinates is None else coordinates
        least, start = math.inf, time.thread_time()
        for coordinate in sums[:wanted]:
            begin = time.thread_time()
            theta.grad = None
            coordinate.backward(retain_graph=True)
            squares += theta.grad.square()  # type: ignore[attr-defined]
            least = min(least, time.thread_time() - begin)
        seconds += time.thread_time() - start if coordinates is None else least * len(sums)
        speeds.append(squares.sqrt())
        network.zero_grad()
    network.requires_grad_(False)
    return seconds, torch.cat(speeds).sum().item() if coordinates is None else math.nan


def plain_ntk(network: nn.Module, images: Tensor, passes: int | None) -> tuple[float, float]:
    """Return CPU seconds and the condition number (NaN when only some images were run) of the plain definition."""
    network.requires_grad_(True)
    seconds, features = cpu_seconds(lambda: network.forward_features(images).sum(1), 1)  # type: ignore[operator]
    rows, least, total = [], math.inf, 0.0
    for scalar in features[:passes]:
        start = time.thread_time()
        network.zero_grad()
        scalar.backward(retain_graph=True)
        named = network.named_parameters()
        rows.append(torch.cat([p.grad.flatten() for n, p in named if "weight" in n and p.grad is not None]))
        least, total = min(least, time.thread_time() - start), total + time.thread_time() - start
    network.zero_grad()
    network.requires_grad_(False)
    if passes is not None:
        return seconds + least * len(images), math.nan
    jacobian = torch.stack(rows).double()
    eigenvalues = torch.linalg.eigvalsh(jacobian @ jacobian.T)
    return seconds + total, (eigenvalues[-1] / eigenvalues[0]).item()


def report(name: str, fast: float, plain: float, fused: float, difference: float, oracle: str) -> None:
    print(
        f"{name:<20} {fast:>9.3f} s {1 / fast:>9.2f} {1 / fast / REPEATS:>9.2f} {plain:>10.2f} s {plain / fast:>7.0f}x"
        f" {fused:>9.2f} s {fused / fast:>7.0f}x {difference:>10.1e}  {oracle}",
        flush=True,
    )


def compare(label: str, architecture: Architecture, whole: bool, times: int) -> float:
    """Print both metrics of one network; return the CPU seconds of a repeat of both."""
    length, ntk = get_metric("length"), get_metric("ntk")
    shape = (architecture.in_channels, architecture.image_size, architecture.image_size)
    first, second = circle(shape, generator(0, "benchmark", 0))
    images = torch.randn(IMAGES, *shape, generator=generator(0, "benchmark", 1))
    spent = 0.0

    network = draw_network(architecture, length.settings, "length", 0)
    fast, _ = cpu_seconds(lambda: length.measure(architecture, 0), times)
    with WrittenOutAttention():
        plain, expected = plain_length(network, first, second, None if whole else 2)
    fused, _ = plain_length(network, first, second, None if whole else 2)
    value = length_terms(network, first, second, 10, 1.0).sum().item()
    if not whole:
        angles = torch.linspace(0.0, 2.0 * math.pi, 10)[:, None, None, None]
        inputs = torch.cos(angles) * first + torch.sin(angles) * second
        tangents = torch.cos(angles) * second - torch.sin(angles) * first
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            _, velocity = torch.func.jvp(network.forward_features, (inputs,), (tangents,))[:2]  # type: ignore[arg-type]
        expected = velocity.norm(dim=1).sum().item()
    report(f"length {label}", fast, plain, fused, abs(value / expected - 1), "the loop" if whole else "torch.func.jvp")
    spent += fast

    network = draw_network(architecture, ntk.settings, "ntk", 0)
    fast, _ = cpu_seconds(lambda: ntk.measure(architecture, 0), times)
    with WrittenOutAttention():
        plain, expected = plain_ntk(network, images, None if whole else 3)
    fused, _ = plain_ntk(network, images, None if whole else 3)
    eigenvalues = torch.linalg.eigvalsh(ntk_gram(network, images))
    if not whole:
        exact = torch.linalg.eigvalsh(ntk_gram(network.double(), images.double(), exact=True))
        expected = (exact[-1] / exact[0]).item()
    difference = abs((eigenvalues[-1] / eigenvalues[0]).item() / expected - 1)
    report(f"ntk    {label}", fast, plain, fused, difference, "the loop" if whole else "float64 softmax")
    return spent + fast


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the small network only")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    seed = get_space("asvit").published()["asvit_seed"]
    small = seed.replace(image_size=64, choices={"width": 8})
    heads = (("a repeat", 11), ("per s", 9), ("5 repeats", 9), ("plain", 12), ("", 8), ("fused", 11), ("", 8))
    print(" " * 20, *(f"{text:>{width}}" for text, width in heads), f"{'differs':>10}", " from")
    seconds = compare("C=8  64 px", small, whole=True, times=5)
    if not quick:
        seconds = compare("C=32 224 px", seed, whole=False, times=5)
        hours = CANDIDATES * REPEATS * seconds / 3600.0
        print(
            f"--preset paper: {CANDIDATES} candidates, {REPEATS} repeats, both metrics: {hours:.2f} CPU hours, "
            f"{60.0 * hours / CORES:.0f} minutes on {CORES} cores, were all like this network"
        )


if __name__ == "__main__":
    main()

"""Freshly drawn networks: every value follows from (seed, purpose, repeat), whatever was computed before."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from searchspaces import Architecture, get_space

if TYPE_CHECKING:
    from evaluators.proxies.settings import ProxySettings

LINEAR_DEVIATION = 0.02  # As-ViT draws from a normal distribution cut at +-2, a hundred deviations: never reached
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_DRAWN = (nn.Linear, nn.LayerNorm, *_CONVOLUTIONS)


def generator(seed: int, purpose: str, repeat: int) -> torch.Generator:
    """Return the random generator of one purpose; no other purpose, repeat or seed shares its stream."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{repeat}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def draw_network(architecture: Architecture, settings: ProxySettings, purpose: str, repeat: int) -> nn.Module:
    """Return a float32 network in evaluation mode, its weights drawn and its norms kept or removed.

    Parameters need no gradient. The random state of the process is left as it was.

    Args:
        purpose: names the metric; two metrics see different weights.
        repeat: number of the re-initialised network.
    """
    weights = generator(settings.seed, f"{purpose} weights", repeat)
    shared = settings.initialisation == "asvit"
    convolutions = generator(settings.seed, "convolutions", -1 if shared else repeat)
    network = _empty_network(architecture, weights)
    with torch.no_grad():
        for module in network.modules():
            _draw(module, weights, convolutions)
    if not settings.keep_norms:
        remove_norms(network)
    return network.eval().requires_grad_(False)


def remove_norms(network: nn.Module) -> None:
    """Replace every LayerNorm by the identity, in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.LayerNorm):
                setattr(module, name, nn.Identity())


def _draw(module: nn.Module, weights: torch.Generator, convolutions: torch.Generator) -> None:
    """Draw the parameters a module owns itself: the rule of the authors' code."""
    if isinstance(module, nn.Linear):
        module.weight.normal_(0.0, LINEAR_DEVIATION, generator=weights)
        if module.bias is not None:
            module.bias.zero_()
    elif isinstance(module, nn.LayerNorm):
        if module.weight is not None:
            module.weight.fill_(1.0)
        if module.bias is not None:
            module.bias.zero_()
    elif isinstance(module, _CONVOLUTIONS):
        bound = 1.0 / math.sqrt(math.prod(module.weight.shape[1:]))  # the framework's default
        module.weight.uniform_(-bound, bound, generator=convolutions)
        if module.bias is not None:
            module.bias.uniform_(-bound, bound, generator=convolutions)


def _empty_network(architecture: Architecture, weights: torch.Generator) -> nn.Module:
    """Return the network without values where `_draw` sets them all, else with the space's own draw."""
    space = get_space(architecture.space)
    with _NoInitialisation():
        network = space.build(architecture)
    owners = [module for module in network.modules() if next(module.parameters(recurse=False), None) is not None]
    if all(isinstance(module, _DRAWN) for module in owners) and next(network.buffers(), None) is None:
        return network
    # Position embeddings, class tokens and tables keep the values the space gives them, from the same stream.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=weights)))
        return space.build(architecture)


class _NoInitialisation(TorchFunctionMode):
    """Skip what fills new parameters: values that `_draw` replaces would take most of the time of a small network."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        filled = args[0] if args else kwargs.get("tensor")
        if name.endswith("_") and not name.endswith("__") and isinstance(filled, nn.Parameter):
            return filled
        return func(*args, **kwargs)

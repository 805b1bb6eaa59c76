"""Which networks the design can run, and the sentence for those it cannot."""

from __future__ import annotations

from hardware.edge_moe.platform import Platform
from hardware.edge_moe.resources import Resources, Sizes, resources
from hardware.target import UnsupportedError
from searchspaces.m3vit import Network


def require_runnable(p: Platform, network: Network) -> Resources:
    """Check a network against the design and return the resources of its build.

    Raises:
        UnsupportedError: with the reason.
    """
    dim, heads, patch = network.dim, network.heads, network.patch
    pixels = p.axi_bits // p.pixel_bits
    if dim % 16:
        raise UnsupportedError(f"unsupported: width={dim} is no multiple of 16")
    if dim % heads:
        raise UnsupportedError(f"unsupported: width={dim} cannot be shared by heads={heads}")
    if dim // heads % p.beat:
        raise UnsupportedError(f"unsupported: a head of {dim // heads} channels is no multiple of {p.beat}, one beat")
    for number, layer in enumerate(network.layers, 1):
        if layer.hidden % 16:
            raise UnsupportedError(f"unsupported: layer {number} has hidden={layer.hidden}, no multiple of 16")
    if len({(layer.experts, layer.top_k) for layer in network.mixtures}) > 1:
        raise UnsupportedError("unsupported: mixture layers that differ in experts or top_k, which a build fixes")
    if network.width % pixels or pixels % patch:
        raise UnsupportedError(
            f"unsupported: an image {network.width} pixels wide with patch={patch}; the width must be a multiple of "
            f"{pixels}, which the patch must divide"
        )
    if p.queries >= network.tokens:
        raise UnsupportedError(f"unsupported: queries={p.queries} in flight need more than {network.tokens} tokens")
    used = resources(p, Sizes.of(network))
    if (misfit := used.misfit(p)) is not None:
        raise UnsupportedError(f"unsupported: the build {misfit}")
    return used

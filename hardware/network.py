"""What targets are asked about: an architecture of a space, or a network of the library timm, as a chain of parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from searchspaces import Architecture, NasError, Part, get_space, unknown_name

if TYPE_CHECKING:
    from torch import nn

TIMM_PREFIX = "timm:"


@dataclass(frozen=True)
class TimmNetwork:
    """A network of the library timm, by its name there. `timm_network` makes one and checks it.

    Args:
        name: such as ``deit_small_patch16_224``.
        image_size: side of the square input, pixels.
        in_channels: channels of the input.
    """

    name: str
    image_size: int
    in_channels: int = 3


Network: TypeAlias = Architecture | TimmNetwork


def timm_network(name: str, image_size: int | None = None) -> TimmNetwork:
    """Return a network of timm, at its own image size unless another is given; nothing is downloaded.

    Args:
        name: with or without ``timm:`` before it.

    Raises:
        NasError: if timm has no such network (close names are listed), or it takes no image of that size.
    """
    import timm

    name = name.removeprefix(TIMM_PREFIX)
    if name.startswith(("hf_hub:", "hf-hub:", "local-dir:")) or not timm.is_model(name):
        known = timm.list_models()
        error = unknown_name("timm network", name, known)
        raise NasError(str(error).split(" Known: ")[0] + f" timm has {len(known)}: timm.list_models() names them")
    if image_size is None:
        config = timm.get_pretrained_cfg(name)
        image_size = config.input_size[-1] if config is not None else 224
    network = TimmNetwork(name, image_size)
    if type(image_size) is not int or image_size < 1:
        raise NasError(f"image_size={image_size!r} must be an integer of at least 1")
    return network


def network_parts(network: Network) -> list[Part]:
    """Return the network as a chain of parts, each fed by the one before.

    Equal parts cost the same, so what a target works out for one part can be kept: parts are hashable, and equal
    whatever their names. A network that is no chain is a single part without a name.
    """
    if isinstance(network, Architecture):
        parts = get_space(network.space).parts(network)
        if parts is not None:
            return parts
    return [_whole(network)]


def network_label(network: Network) -> str:
    """Return what to call the network in messages."""
    return TIMM_PREFIX + network.name if isinstance(network, TimmNetwork) else f"this network of {network.space}"


def build_network(network: Network) -> nn.Module:
    """Return the freshly initialised torch model.

    Raises:
        NasError: if timm cannot build it for this image size, with the reason.
    """
    if isinstance(network, Architecture):
        return get_space(network.space).build(network)
    import timm

    sizes: dict[str, Any] = {"in_chans": network.in_channels}
    own = timm.get_pretrained_cfg(network.name)
    if own is None or own.input_size[-1] != network.image_size:
        sizes["img_size"] = network.image_size
    try:
        return timm.create_model(network.name, pretrained=False, **sizes)
    except TypeError:  # networks of convolutions take every size and have no such argument
        sizes.pop("img_size", None)
        return timm.create_model(network.name, pretrained=False, **sizes)
    except (AssertionError, ValueError) as error:
        raise NasError(
            f"{network_label(network)} cannot be built at image_size={network.image_size}: {error}"
        ) from error


@lru_cache(maxsize=4096)
def _whole(network: Network) -> Part:
    shape = (network.in_channels, network.image_size, network.image_size)
    return Part("", build_network, (("network", network),), shape)

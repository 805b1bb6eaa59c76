"""One set of weights and all the sub-networks that use slices of it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from timm.layers import DropPath
from torch import Tensor, nn
from torch.func import functional_call

from evaluators.supernet.body import Body, Outputs
from evaluators.supernet.meta import on_meta
from evaluators.supernet.slicing import Holding, Slice
from evaluators.supernet.trunk import find_trunk
from evaluators.training.randomness import global_state_kept
from searchspaces import Architecture, NasError, get_space

KEPT_SKELETONS = 64  # each holds no numbers, only modules: about a megabyte


@dataclass(frozen=True)
class Skeleton:
    """A sub-network without numbers, and where its numbers come from.

    Args:
        body: on the meta device.
        slices: one per tensor of `body`.
    """

    body: Body
    slices: tuple[Slice, ...]


class Supernet(nn.Module):
    """The weights of the largest network, and every smaller network as leading slices of them.

    A sub-network is `space.build` of its architecture, run with views of the stored tensors: only the active slice is
    computed, blocks that are absent do not occur, and a layer is described once, in its space. Statistics of batch
    normalisation are shared: in training mode a sub-network updates those of the super-network.

    >>> supernet = Supernet(get_space("asvit").largest(image_size=32))  # doctest: +SKIP
    >>> supernet(images, get_space("asvit").smallest(image_size=32))    # doctest: +SKIP

    Args:
        architecture: the largest network, whose parameters are stored.
        patch_head: keep the training-only linear layer on patch tokens as well; see `Body`.

    Attributes:
        trunk: name, inside `network`, of the layers that all sub-networks share whole; None if there are none.

    Shapes: (batch, channels, size, size) to (batch, classes).
    """

    def __init__(self, architecture: Architecture, patch_head: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        body = Body(architecture, patch_head)
        self.network, self.patch_head = body.network, body.patch_head
        self.trunk = find_trunk(architecture)
        self._holding = Holding.of(self)
        self._skeletons: OrderedDict[tuple[Architecture, bool], Skeleton] = OrderedDict()

    def forward(self, images: Tensor, architecture: Architecture | None = None) -> Tensor:
        """Return the class logits of a sub-network; gradients flow into the stored weights.

        Args:
            architecture: None for the largest.

        Raises:
            NasError: if it is no sub-network of this one; the message says what does not fit.
        """
        skeleton = self.skeleton(self.architecture if architecture is None else architecture)
        return self.run(skeleton, self.tensors(skeleton), images).classes

    def tensors(self, skeleton: Skeleton) -> dict[str, Tensor]:
        """Return the tensors of a sub-network by name, in its shapes; gradients flow into the stored ones."""
        return {part.name: part.take(self.stored(part.name)) for part in skeleton.slices}

    def run(self, skeleton: Skeleton, tensors: dict[str, Tensor], images: Tensor) -> Outputs:
        """Return the outputs of a skeleton with these numbers in it.

        Args:
            tensors: by name, in the shapes of the sub-network.
        """
        if skeleton.body.training != self.training:
            skeleton.body.train(self.training)
        if self.training:
            self._copy_drop_rates(skeleton.body)
        return functional_call(skeleton.body, tensors, (images,))

    def fits(self, architecture: Architecture) -> str | None:
        """Return why an architecture is no sub-network of this one, or None if it is one."""
        try:
            self.skeleton(architecture)
        except NasError as error:
            return str(error)
        return None

    def skeleton(self, architecture: Architecture, tail: bool = False) -> Skeleton:
        """Return the skeleton of a sub-network; the most recently used ones are kept.

        Args:
            tail: leave the trunk out; what the skeleton takes is then what the trunk gives.

        Raises:
            NasError: if it is no sub-network of this one.
        """
        key = (architecture, tail and self.trunk is not None)
        if key not in self._skeletons:
            self._require_same_data(architecture)
            with on_meta():
                body = Body(architecture, self.patch_head is not None)
            if key[1]:
                body.set_submodule(f"network.{self.trunk}", nn.Identity())
            self._skeletons[key] = Skeleton(body, self._holding.slices(body))
            if len(self._skeletons) > KEPT_SKELETONS:
                self._skeletons.popitem(last=False)
        self._skeletons.move_to_end(key)
        return self._skeletons[key]

    def run_trunk(self, images: Tensor) -> Tensor:
        """Return what the trunk gives, which every sub-network shares; the images themselves without a trunk."""
        return images if self.trunk is None else self.network.get_submodule(self.trunk)(images)

    def extract(self, architecture: Architecture) -> nn.Module:
        """Return the plain stand-alone module of a sub-network with copies of its weights, in the mode of this one.

        Raises:
            NasError: if it is no sub-network of this one.
        """
        skeleton = self.skeleton(architecture)
        with global_state_kept():
            network = get_space(architecture.space).build(architecture)
        like = next(self.network.parameters())
        network.to(like.device, like.dtype)
        prefix = "network."
        tensors = {name: t for name, t in self.tensors(skeleton).items() if name.startswith(prefix)}
        network.load_state_dict({name.removeprefix(prefix): tensor.detach() for name, tensor in tensors.items()})
        return network.train(self.training)

    def no_weight_decay(self) -> set[str]:
        """Return the names of the tensors that weight decay leaves alone beside biases and normalisations.

        That is the class token; position tables do decay (ViT-ResNAS, sheet section 5.4).
        """
        return {name for name, _ in self.named_parameters() if name.endswith("class_token")}

    def stored(self, name: str) -> Tensor:
        """Return the stored parameter or buffer of this name."""
        owner, _, last = name.rpartition(".")
        return getattr(self.get_submodule(owner), last)

    def _require_same_data(self, architecture: Architecture) -> None:
        for key in ("space", "image_size", "in_channels", "num_classes"):
            mine, other = getattr(self.architecture, key), getattr(architecture, key)
            if mine != other:
                raise NasError(f"the super-network has {key}={mine!r}, the architecture {key}={other!r}")

    def _copy_drop_rates(self, body: Body) -> None:
        """Give the blocks of a sub-network the stochastic depth they have in the largest, absent ones counted."""
        rates = {name: m.drop_prob for name, m in self.network.named_modules() if isinstance(m, DropPath)}
        for name, module in body.network.named_modules():
            if isinstance(module, DropPath):
                module.drop_prob = rates[name]

"""Which part of which stored tensor a sub-network uses: the prefix rule of ViT-ResNAS (arXiv 2109.00642).

Every tensor gives its leading slice in every dimension. The one exception is `QkvLinear`, which gives the leading rows
of each third, so that a sub-network has the first heads of the queries, of the keys and of the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from searchspaces import NasError
from searchspaces.layers import QkvLinear

_KERNELS = ("kernel_size", "kernel")  # attributes of a layer whose weights have no meaningful prefix for another value


@dataclass(frozen=True)
class Slice:
    """The part of one stored tensor that a sub-network uses.

    Args:
        name: of the tensor, the same in the sub-network and in the super-network.
        shape: of the tensor in the sub-network.
        groups: equal parts of the first dimension that are sliced one by one; 1 for all but `QkvLinear`.
    """

    name: str
    shape: tuple[int, ...]
    groups: int = 1

    def view(self, stored: Tensor) -> Tensor:
        """Return the used part as a view of `stored`; with groups it is (groups, rows of a group, ...)."""
        if tuple(stored.shape) == self.shape:
            return stored
        if self.groups == 1:
            return stored[tuple(slice(size) for size in self.shape)]
        rows, *rest = self.shape
        parted = stored.unflatten(0, (self.groups, -1))
        return parted[tuple(slice(size) for size in (self.groups, rows // self.groups, *rest))]

    def shaped(self, view: Tensor) -> Tensor:
        """Return a `view` in the shape of the sub-network.

        Thirds that are not neighbours in memory are copied here: at 224 px the copy moves 3 * rows * columns numbers
        where the product that follows multiplies each of them with every token of the batch.
        """
        return view if tuple(view.shape) == self.shape else view.flatten(0, 1)

    def take(self, stored: Tensor) -> Tensor:
        """Return the used part in the shape of the sub-network; gradients flow into `stored`."""
        return self.shaped(self.view(stored))


@dataclass(frozen=True)
class Holding:
    """What a super-network holds, as far as slicing asks.

    Args:
        shapes: of the parameters and buffers, by name.
        kernels: (layer, attribute) to the size of its kernel.
    """

    shapes: Mapping[str, tuple[int, ...]]
    kernels: Mapping[tuple[str, str], object]

    @classmethod
    def of(cls, largest: nn.Module) -> Holding:
        """Return what the module of the largest network holds."""
        tensors = (*largest.named_parameters(), *largest.named_buffers())
        kernels = {
            (name, kernel): getattr(layer, kernel)
            for name, layer in largest.named_modules()
            for kernel in _KERNELS
            if hasattr(layer, kernel)
        }
        return cls({name: tuple(tensor.shape) for name, tensor in tensors}, kernels)

    def slices(self, sub: nn.Module) -> tuple[Slice, ...]:
        """Return one slice per parameter and buffer of a sub-network.

        Args:
            sub: the sub-network's own module; only shapes are read, so it may lie on the meta device.

        Raises:
            NasError: if a tensor of the sub-network is missing in the super-network, larger than there, or belongs to
                a layer with another kernel.
        """
        found = []
        for layer_name, layer in sub.named_modules():
            self._require_same_kernel(layer_name, layer)
            groups = layer.groups if isinstance(layer, QkvLinear) else 1
            own = (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False))
            for tensor_name, tensor in own:
                name = f"{layer_name}.{tensor_name}" if layer_name else tensor_name
                shape = tuple(tensor.shape)
                self._require_within(name, shape)
                found.append(Slice(name, shape, groups))
        return tuple(found)

    def _require_within(self, name: str, shape: tuple[int, ...]) -> None:
        if name not in self.shapes:
            raise NasError(f"the sub-network has {name}, which the super-network does not hold")
        held = self.shapes[name]
        if len(shape) != len(held) or any(mine > most for mine, most in zip(shape, held, strict=True)):
            raise NasError(f"{name} is {_times(shape)} in the sub-network; the super-network holds {_times(held)}")

    def _require_same_kernel(self, name: str, layer: nn.Module) -> None:
        """A kernel of another size sees other places, so no slice of its weights means the same: refuse it."""
        for kernel in _KERNELS:
            mine = getattr(layer, kernel, None)
            held = self.kernels.get((name, kernel), mine)
            if mine != held:
                raise NasError(
                    f"{name} has {kernel}={mine} in the sub-network and {held} in the super-network; "
                    "kernels cannot be sliced, give the sub-network those of the super-network"
                )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape) or "a number"

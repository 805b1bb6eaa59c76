"""Networks without numbers: modules on torch's meta device, quickly made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _WithoutFilling(TorchFunctionMode):
    """Leaves out in-place operations on meta tensors, such as random initialisation.

    There is nothing to fill, yet torch spends 0.3 s on pretending to, for one network of 15 blocks.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "")
        in_place = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
        filled = args[0] if args else (kwargs or {}).get("tensor")  # torch.nn.init names it
        if in_place and isinstance(filled, Tensor) and filled.is_meta:
            return filled
        return func(*args, **(kwargs or {}))


@contextmanager
def on_meta() -> Iterator[None]:
    """Build modules and tensors on the meta device: shapes without memory."""
    with torch.device("meta"), _WithoutFilling():
        yield

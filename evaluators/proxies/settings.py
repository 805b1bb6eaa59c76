"""What all training-free proxies let the user decide, and the architecture that these decisions lead to."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from evaluators.metric import MetricFailure
from evaluators.settings import Settings
from searchspaces import Architecture, NasError, get_space


class ProxySettings(Settings):
    """The network a proxy looks at, and how its weights are drawn."""

    repeats: int = Field(
        default=5, ge=1, le=1000, description="re-initialised networks per architecture; the value is their mean"
    )
    image_size: int | None = Field(
        default=None, ge=1, description="side of the input in pixels; none: the architecture's own"
    )
    width: int | None = Field(
        default=None, ge=1, description='replaces the dimension "width" of the space; none: the architecture\'s own'
    )
    keep_norms: bool = Field(default=False, description="whether LayerNorm stays; otherwise it becomes the identity")
    initialisation: Literal["asvit", "independent"] = Field(
        default="asvit",
        description="asvit: Linear weights normal with deviation 0.02, one draw of the convolutions for all repeats, "
        "as the authors' code does; independent: likewise, with the convolutions drawn anew for every repeat",
    )
    seed: int = Field(default=0, ge=0, description="every draw follows from the seed, its purpose and the repeat")


def looked_at(architecture: Architecture, settings: ProxySettings) -> Architecture:
    """Return the architecture with the image size and the width the settings ask for.

    Raises:
        MetricFailure: if the space has no dimension "width", or cannot take the width or the image size.
    """
    changes: dict[str, Any] = {}
    if settings.image_size is not None:
        changes["image_size"] = settings.image_size
    if settings.width is not None:
        if all(dimension.name != "width" for dimension in get_space(architecture.space).dimensions):
            raise MetricFailure(
                f"width={settings.width} cannot be set: the space {architecture.space!r} has no dimension 'width'"
            )
        changes["choices"] = {"width": settings.width}
    if not changes:
        return architecture
    try:
        return architecture.replace(**changes)
    except NasError as error:
        raise MetricFailure(str(error)) from error

"""The search space of M3ViT's backbone (arXiv 2210.14793) as Edge-MoE runs it (arXiv 2305.18691), and smaller ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from searchspaces.architecture import Architecture
from searchspaces.dimension import Dimension, Value
from searchspaces.m3vit.geometry import Dense, Network, network
from searchspaces.space import SearchSpace, register_space

if TYPE_CHECKING:
    from torch import nn

    from searchspaces.part import Part

_COMMON = ("experts", "top_k")  # decisions that exist as soon as any layer is a mixture
ACCELERATOR = (
    Dimension("accelerator.tile", (8, 16, 24, 32), meaning="inputs and outputs per cycle of the linear unit"),
    Dimension("accelerator.queries", (1, 2, 4, 8, 16), meaning="attention queries in flight"),
)


class M3ViTSpace(SearchSpace):
    """Isotropic transformers. A new member of the family sets `name` and the class attributes.

    Attributes:
        widths: of the tokens; multiples of 8 for every number of heads.
        heads, depths: attention heads and number of layers.
        ratios, expert_ratios: hidden over token width, of a dense MLP and of each expert.
        experts, top_ks: common to all mixture layers of a network, which a bitstream fixes.
        patch: side of a patch, pixels, unless an architecture says otherwise.
        more: further decisions, at the end.
    """

    widths: ClassVar[tuple[int, ...]]
    heads: ClassVar[tuple[int, ...]]
    depths: ClassVar[tuple[int, ...]]
    ratios: ClassVar[tuple[int, ...]] = (2, 3, 4)
    expert_ratios: ClassVar[tuple[int, ...]] = (1, 2)
    experts: ClassVar[tuple[int, ...]] = (4, 8, 16)
    top_ks: ClassVar[tuple[int, ...]] = (1, 2, 4)
    patch: ClassVar[int] = 16
    more: ClassVar[tuple[Dimension, ...]] = ()
    image_sizes = (16, 4096)
    image_step = 16

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.dimensions = cls._dimensions()

    @classmethod
    def _dimensions(cls) -> tuple[Dimension, ...]:
        found = [
            Dimension("width", cls.widths, meaning="width of the tokens, channels"),
            Dimension("heads", cls.heads, meaning="attention heads of width / heads channels"),
            Dimension("experts", cls.experts, meaning="experts of every mixture layer"),
            Dimension("top_k", cls.top_ks, meaning="experts a token goes through"),
            Dimension("depth", cls.depths, meaning="number of layers"),
        ]
        for number in range(1, max(cls.depths) + 1):
            deep = tuple(depth for depth in cls.depths if depth >= number)
            layer = f"layer{number}"
            found += [
                Dimension(f"{layer}.ffn", ("dense", "moe"), ("depth", deep), meaning="MLP or mixture of experts"),
                Dimension(f"{layer}.ratio", cls.ratios, (f"{layer}.ffn", ("dense",)), meaning="MLP over token width"),
                Dimension(
                    f"{layer}.expert_ratio",
                    cls.expert_ratios,
                    (f"{layer}.ffn", ("moe",)),
                    meaning="width of an expert over token width",
                ),
            ]
        return (
            *found,
            *cls.more,
            Dimension("patch", (4, 8, 16), default=cls.patch, meaning="side of a patch, pixels"),
            Dimension("aspect", (1, 2), default=1, meaning="width of the image over its height, which is image_size"),
        )

    # --- networks without a mixture have neither `experts` nor `top_k` ------------------------------------------

    def canonical(self, choices: Mapping[str, Value]) -> dict[str, Value]:
        """Return the validated choices; without mixture layers those common to them are left out."""
        mixtures = _has_mixtures(choices)
        unused = {} if mixtures else {d.name: d.choices[0] for d in self.dimensions if d.name in _COMMON}
        active = super().canonical({**choices, **unused})
        if not mixtures:
            for name in _COMMON:
                del active[name]
        return active

    def size(self) -> int:
        """Return the exact number of distinct networks."""
        dense, either = len(self.ratios), len(self.ratios) + len(self.expert_ratios)
        common = len(self.experts) * len(self.top_ks)
        layers = sum((either**depth - dense**depth) * common + dense**depth for depth in self.depths)
        total = layers * len(self.widths) * len(self.heads)
        for dimension in self.more:
            total *= len(dimension.choices)
        return total

    # --- networks -------------------------------------------------------------------------------------------------

    def network(self, architecture: Architecture) -> Network:
        """Return the sizes of a network."""
        return network(architecture, self.patch)

    def build(self, architecture: Architecture) -> nn.Module:
        """Return the torch model; its layers are in `searchspaces.m3vit.layers`."""
        from searchspaces.m3vit.model import M3ViT

        return M3ViT(self.parts(architecture))

    def parts(self, architecture: Architecture) -> list[Part]:
        """Return stem, layers and head."""
        from searchspaces.m3vit.model import network_parts

        return network_parts(self.network(architecture), architecture.num_classes)

    def stages(self, architecture: Architecture) -> list[dict[str, Any]]:
        """Return the one stage; hidden widths per layer, and where the experts are."""
        plan = self.network(architecture)
        facts: dict[str, Any] = {
            "tokens": plan.tokens,
            "dim": plan.dim,
            "depth": len(plan.layers),
            "heads": plan.heads,
            "hidden": [layer.hidden for layer in plan.layers],
        }
        if plan.mixtures:
            places = [str(n) for n, layer in enumerate(plan.layers, 1) if not isinstance(layer, Dense)]
            first = plan.mixtures[0]
            facts["experts"] = f"{first.top_k} of {first.experts} in layers {', '.join(places)}"
        return [facts]


def _has_mixtures(choices: Mapping[str, Value]) -> bool:
    """Return whether any layer that exists is a mixture of experts."""
    depth = choices.get("depth")
    return isinstance(depth, int) and any(choices.get(f"layer{n}.ffn") == "moe" for n in range(1, depth + 1))


def _layers(depth: int, ratio: int, expert_ratio: int) -> dict[str, Value]:
    """Return the choices of layers that are dense and mixtures in turn, as in M3ViT."""
    choices: dict[str, Value] = {"depth": depth}
    for number in range(1, depth + 1):
        mixture = number % 2 == 0
        choices[f"layer{number}.ffn"] = "moe" if mixture else "dense"
        choices[f"layer{number}.{'expert_ratio' if mixture else 'ratio'}"] = expert_ratio if mixture else ratio
    return choices


@register_space
class M3ViT(M3ViTSpace):
    """The sizes around M3ViT-Tiny; patches of 16 pixels."""

    name = "m3vit"
    widths = (96, 192, 288, 384)
    heads = (2, 3, 4, 6, 12)
    depths = (6, 8, 10, 12)

    def published(self) -> dict[str, Architecture]:
        """Return the network in the accelerator as shipped: Cityscapes, 128 x 256 pixels, its 19 classes."""
        tiny: dict[str, Value] = {"width": 192, "heads": 3, "experts": 16, "top_k": 2, "aspect": 2}
        choices = {**tiny, **_layers(depth=12, ratio=4, expert_ratio=2)}
        return {"m3vit_tiny_cityscapes": self.architecture(choices, image_size=128, num_classes=19)}


@register_space
class M3ViTDigits(M3ViTSpace):
    """A small member for 32 px images: patches of 4 pixels."""

    name = "m3vit_digits"
    widths = (32, 64, 96)
    heads = (1, 2, 4)
    depths = (2, 3, 4)
    experts = (2, 4, 8)
    top_ks = (1, 2)
    patch = 4


@register_space
class M3ViTCodesign(M3ViT):
    """The space `m3vit` together with knobs of the accelerator, which change what it costs and not what it computes."""

    name = "m3vit_codesign"
    more = ACCELERATOR

    def published(self) -> dict[str, Architecture]:
        """Return no network: the shipped one is in `m3vit`."""
        return {}

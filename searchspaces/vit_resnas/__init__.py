"""The ViT-ResNAS spaces: `layout` the decisions, `geometry` the sizes, `layers` and `model` the network."""

from searchspaces.vit_resnas.layout import SMALL, TINY, Layout, StageLayout
from searchspaces.vit_resnas.space import ViTResNASSpace

__all__ = ["SMALL", "TINY", "Layout", "StageLayout", "ViTResNASSpace"]

"""The As-ViT space: `space` the decisions, `geometry` the sizes they lead to, `layers` and `model` the network."""

from searchspaces.asvit.genotype import read_genotype, write_genotype
from searchspaces.asvit.space import AsViTSpace

__all__ = ["AsViTSpace", "read_genotype", "write_genotype"]

"""What an architecture is: dimensions, the Architecture document, and the torch models of every search space."""

from searchspaces.architecture import Architecture, write_bytes, write_text
from searchspaces.dimension import Dimension, Value
from searchspaces.errors import NasError, unknown_name
from searchspaces.part import Part
from searchspaces.registry import Registry
from searchspaces.space import SearchSpace, get_space, register_space, spaces

from searchspaces import asvit, m3vit, vit_resnas  # isort: skip  # registers the spaces; needs the names above

__all__ = [
    "Architecture",
    "Dimension",
    "NasError",
    "Part",
    "Registry",
    "SearchSpace",
    "Value",
    "asvit",
    "get_space",
    "m3vit",
    "register_space",
    "spaces",
    "unknown_name",
    "vit_resnas",
    "write_bytes",
    "write_text",
]

"""Isotropic transformers with dense and mixture-of-experts layers: `space` the decisions, `layers` the network."""

from searchspaces.m3vit.geometry import Dense, Experts, Network, network
from searchspaces.m3vit.space import M3ViTSpace

__all__ = ["Dense", "Experts", "M3ViTSpace", "Network", "network"]

"""The operators of a real torch module, with shapes, MACs, parameters and bytes."""

from hardware.graph.assemble import operator_graph, operators, part_graph, part_operators, timm_graph
from hardware.graph.operator import KINDS, Operator

__all__ = ["KINDS", "Operator", "operator_graph", "operators", "part_graph", "part_operators", "timm_graph"]

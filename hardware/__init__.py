"""What an architecture costs: parameters and multiply-accumulates, its operators, and targets that run it."""

from hardware.cost import Cost, network_cost, part_cost
from hardware.estimate import Estimate, Quantity, Share
from hardware.network import Network, TimmNetwork, build_network, network_label, network_parts, timm_network
from hardware.target import Target, UnsupportedError, get_target, register_target, targets

from hardware.edge_moe import targets as edge_moe_targets  # isort: skip  # registers its targets; needs the names above
from hardware.fitted import targets as fitted_targets  # isort: skip  # registers its targets; needs the names above
from hardware.tvm_int8 import targets as tvm_targets  # isort: skip  # registers its targets; needs the names above

__all__ = [
    "Cost",
    "Estimate",
    "Network",
    "Quantity",
    "Share",
    "Target",
    "TimmNetwork",
    "UnsupportedError",
    "build_network",
    "edge_moe_targets",
    "fitted_targets",
    "get_target",
    "network_cost",
    "network_label",
    "network_parts",
    "part_cost",
    "register_target",
    "targets",
    "timm_network",
    "tvm_targets",
]

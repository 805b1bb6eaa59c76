"""What an architecture costs: parameters and multiply-accumulates; hardware targets build on them."""

from hardware.cost import Cost, network_cost, part_cost

__all__ = ["Cost", "network_cost", "part_cost"]

"""A device whose costs can be worked out by hand, for tests of everything that is generic about targets."""

from __future__ import annotations

from hardware import Estimate, Quantity, Share, Target, UnsupportedError, network_cost, network_parts, register_target
from hardware.cost import part_cost


@register_target
class ToyTarget(Target):
    """A million multiply-accumulates per millisecond, four times as many in int8, at 2 watts."""

    name = "toy-device"
    meaning = "for tests"
    precisions = ("fp32", "int8")
    most_params = 200_000_000

    def estimate(self, architecture, batch_size=None, precision=None):
        size, chosen = self.settle(batch_size, precision)
        params = network_cost(architecture).params
        if params > self.most_params:
            raise UnsupportedError(f"unsupported: {params} parameters do not fit into {self.most_params}")
        speed = 4e6 if chosen == "int8" else 1e6
        shares = []
        for part in network_parts(architecture):
            cost = part_cost(part)
            shares.append(Share(part.name or "network", "part", size * (1 + cost.macs) / speed, "compute"))
        latency = sum(share.latency_ms for share in shares)
        return Estimate(
            self.name,
            size,
            chosen,
            Quantity(latency, "fitted", 0.05, (0.9 * latency, 1.1 * latency), 0.8, "by hand"),
            Quantity(2.0 * latency, "model"),
            None,
            tuple(shares),
        )


@register_target
class SlowToyTarget(ToyTarget):
    """The same, said to be slow to ask, so that it is measured by the workers."""

    name = "toy-slow-device"
    quick = False

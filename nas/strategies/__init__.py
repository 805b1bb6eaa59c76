"""How the next architectures are chosen: random, evolution, REINFORCE, and the samplers of Optuna."""

from nas.strategies.base import Strategy, make_strategy, register_strategy, strategies

from nas.strategies import evolution, optuna_samplers, random, reinforce  # isort: skip  # register themselves

__all__ = [
    "Strategy",
    "evolution",
    "make_strategy",
    "optuna_samplers",
    "random",
    "register_strategy",
    "reinforce",
    "strategies",
]

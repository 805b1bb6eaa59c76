"""Training-free proxies: what a network is worth, read from its freshly initialised weights.

Each proxy is one metric: its settings and its failures are described without torch, which loads on first use.
"""

from evaluators.proxies.length import Length, LengthSettings
from evaluators.proxies.ntk import Ntk, NtkSettings
from evaluators.proxies.settings import ProxySettings

__all__ = ["Length", "LengthSettings", "Ntk", "NtkSettings", "ProxySettings"]

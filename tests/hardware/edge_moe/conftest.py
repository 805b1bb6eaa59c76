"""The vectors of the Edge-MoE model, and the networks they are about."""

import json
from pathlib import Path

import pytest

from searchspaces import get_space
from searchspaces.m3vit import Dense, Experts, Network

DATA = Path(__file__).parents[2] / "data" / "edge_moe.json"


@pytest.fixture(scope="session")
def vectors():
    """Published points, trip counts and kernel cycles of the sheet."""
    return json.loads(DATA.read_text())


@pytest.fixture(scope="session")
def shipped():
    """The shipped network as an architecture."""
    return get_space("m3vit").published()["m3vit_tiny_cityscapes"]


@pytest.fixture(scope="session")
def network_of():
    """Turn the configuration of a vector into a network."""

    def build(config):
        layers = tuple(
            Experts(config["E"], config["k"], config["ehid"]) if i in config["moe_layers"] else Dense(config["hid"])
            for i in range(config["layers"])
        )
        sizes = (config["C"], config["Hi"], config["Wi"], config["ps"], config["D"], config["heads"])
        return Network(*sizes, layers)

    return build

"""Shared fixtures."""

from __future__ import annotations

import json
import os
from pathlib import Path

# The suite runs one process per core; torch's threads on top would only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import toy  # noqa: F401  # registers the toy space and metrics

hypothesis.settings.register_profile("shared machine", deadline=None)  # no test is timed
hypothesis.settings.load_profile("shared machine")

DATA = Path(__file__).parent / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, for its fixtures, and all tests of Ray, which share the machine's."""
    for item in items:
        name = "ray" if "ray" in item.path.stem.split("_") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(name))


@pytest.fixture(scope="session")
def asvit_vectors() -> list[dict]:
    """The published numbers of twelve As-ViT networks, computed with the authors' code."""
    return json.loads((DATA / "asvit.json").read_text())

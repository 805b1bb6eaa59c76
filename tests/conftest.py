"""Shared fixtures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import toy  # noqa: F401  # registers the toy space and metrics

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def asvit_vectors() -> list[dict]:
    """The published numbers of twelve As-ViT networks, computed with the authors' code."""
    return json.loads((DATA / "asvit.json").read_text())

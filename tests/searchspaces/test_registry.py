"""Registries: names once, close names listed, plug-ins loaded."""

import pytest

from searchspaces import NasError, Registry


def test_register_and_get():
    registry = Registry("thing", "nas.none")
    registry.register("a")(1)
    assert registry.get("a") == 1
    assert registry.names() == ["a"]
    with pytest.raises(ValueError, match="'a' is registered already"):
        registry.register("a")(2)
    with pytest.raises(NasError, match=r"unknown thing 'b'. Known: a"):
        registry.get("b")


def test_entry_points_are_loaded(monkeypatch):
    registry = Registry("thing", "nas.some")

    class EntryPoint:
        def load(self):
            registry.register("plugged")(3)

    monkeypatch.setattr("searchspaces.registry.entry_points", lambda group: [EntryPoint()])
    assert registry.get("plugged") == 3

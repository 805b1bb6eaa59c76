"""The packages import each other one way only, and the command line starts without the heavy libraries."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "searchspaces": set(),
    "hardware": {"searchspaces"},
    "evaluators": {"searchspaces", "hardware"},
    "nas": {"searchspaces", "hardware", "evaluators"},
}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        others = imported(path) & set(ALLOWED) - {package}
        assert others <= ALLOWED[package], f"{path} imports {others - ALLOWED[package]}"


@pytest.mark.parametrize("module", ["nas.cli", "searchspaces", "evaluators", "hardware", "nas.config"])
def test_starts_without_heavy_libraries(module):
    heavy = ("torch", "ray", "timm", "optuna", "matplotlib")
    code = f"import sys, {module}; print(*(m for m in {heavy} if m in sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""

"""Benchmarks are no timed tests: whether what they import is still there is asked here, since a figure is named by the command that printed it."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "benchmarks"
OURS = ("medkd", "flows", "data_contracts", "mlflow_server", "tests")


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__"))
def test_what_a_benchmark_imports_of_ours_is_there(name):
    found = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS
        for alias in node.names
    ]
    gone = []
    for module, wanted in found:
        if not hasattr(importlib.import_module(module), wanted):
            try:
                importlib.import_module(f"{module}.{wanted}")
            except ModuleNotFoundError:
                gone.append(f"{module}.{wanted}")
    assert not gone

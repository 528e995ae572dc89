"""What `make lint` asks, as tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKS = {"ruff": ("ruff", "check", "."), "format": ("ruff", "format", "--check", "."), "types": ("mypy",)}


# Where nothing is cached mypy takes 80 seconds of the ten minutes: continuous integration calls it by `make lint`.
@pytest.mark.parametrize("check", ["ruff", "format", pytest.param("types", marks=pytest.mark.extended)])
def test_the_code_passes(check):
    said = subprocess.run([sys.executable, "-m", *CHECKS[check]], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert said.returncode == 0, said.stdout[-5000:] + said.stderr[-2000:]

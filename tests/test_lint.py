"""What `make lint` asks, as tests: they take half a minute of one core, which the other workers use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKS = {"ruff": ("ruff", "check", "."), "format": ("ruff", "format", "--check", "."), "types": ("mypy",)}


@pytest.mark.parametrize("check", CHECKS)
def test_the_code_passes(check):
    said = subprocess.run([sys.executable, "-m", *CHECKS[check]], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert said.returncode == 0, said.stdout[-5000:] + said.stderr[-2000:]

"""What CONTRIBUTING.md tells a newcomer to write runs as it is written: linted, typed, and under the properties of its folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.extended, pytest.mark.timeout(900)]
EXAMPLE = re.compile(r"`(medkd/[\w/]+\.py)`:\n\n```python\n(.*?)```", re.DOTALL)


def test_the_four_examples_are_linted_typed_and_hold_the_properties(tmp_path):
    examples = dict(EXAMPLE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert [Path(name).parent.name for name in examples] == ["distillation", "attribution", "measures", "models"]
    copy = tmp_path / "medkd"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
    (copy / "CONTRIBUTING.md").write_bytes((ROOT / "CONTRIBUTING.md").read_bytes())
    for name, text in examples.items():
        (copy / name).write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}

    def run(*command):
        done = subprocess.run([sys.executable, "-m", *command], cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    run("ruff", "check", *examples)
    run("ruff", "format", "--check", *examples)
    run("mypy", *examples)
    names = [Path(name).stem for name in examples]
    answer = run("pytest", "-q", "-n0", "tests/properties", "-k", " or ".join(names))
    passed = int(re.search(r"(\d+) passed", answer)[1])
    assert passed >= 80  # each example meets every property that applies to it

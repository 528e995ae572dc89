"""`medkd plan`: the command as a user gives it, with a probe of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flows.demo import OVERRIDES, RECIPES


def plan(*more, cwd):
    fields = {**OVERRIDES["smoke"]["phantom-segmentation"], "student.fit.precision": "fp32"}
    sets = [part for name, value in fields.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    command = [sys.executable, "-m", "flows.cli", "plan", str(RECIPES / "phantom-segmentation.yaml"), *sets, *more]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.mark.extended  # imports everything twice, and trains
def test_a_recipe_is_planned_and_nothing_is_left_behind(tmp_path):
    done = plan("--json", "--seconds", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [step["name"] for step in said["steps"]][:3] == ["cohorts", "teacher", "alone"]
    assert said["seconds"] > 0
    assert said["free_disk_bytes"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_time_that_is_none_and_a_recipe_that_is_none_are_refused(tmp_path):
    done = plan("--seconds", "0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    missing = subprocess.run([sys.executable, "-m", "flows.cli", "plan", "none.yaml"], capture_output=True, text=True, cwd=tmp_path)
    assert missing.returncode == 2
    assert missing.stderr.startswith("RECIPE_MISSING")

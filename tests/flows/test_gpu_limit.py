"""A limit of a real Prefect server keeps two trainings from one GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.gpu_limit import gpu_of_server

ROOT = Path(__file__).parents[2]


def test_without_a_limit_nothing_is_held(monkeypatch):
    monkeypatch.delenv("MEDKD_GPU_LIMIT", raising=False)
    asked = []
    monkeypatch.setattr("prefect.concurrency.sync.concurrency", lambda *given, **_: asked.append(given))
    with gpu_of_server():
        assert asked == []


@pytest.mark.extended
def test_two_trainings_hold_one_gpu_after_each_other(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in ("PREFECT_HOME", "MEDKD_OWN_PREFECT_HOME", "PREFECT_API_URL"):
        environment.pop(name, None)
    command = [sys.executable, "-W", "ignore", "-m", "tests.flows.gpu_run", str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    assert "there is none; prefect gcl create gpus" in said["refused"]
    (_, first_end), (second_start, _) = said["limited"]
    assert second_start >= first_end
    (_, first_end), (second_start, _) = said["free"]
    assert second_start < first_end

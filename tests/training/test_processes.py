"""The loop in processes of its own: killed at any moment it ends where it would have; shared by two it learns what one learns."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("one_run.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def run(folder, *more, processes=1):
    start = (
        [sys.executable]
        if processes == 1
        else [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    )
    done = subprocess.run([*start, str(SCRIPT), str(folder), *more], capture_output=True, text=True, timeout=240, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def kill(folder, moment):
    """Start a slow run and kill it ``moment`` seconds after its first state was written; return whether it was still at work."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), "--slow", "0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT
    )
    before = stamp(folder)
    deadline = time.monotonic() + 60
    while stamp(folder) == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(moment)
    alive = process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return alive


def stamp(folder):
    state = Path(folder) / "state.safetensors"
    return state.stat().st_mtime_ns if state.is_file() else 0


@pytest.mark.extended  # the same with an exception instead of a signal: test_loop.py
def test_a_run_that_is_killed_within_an_epoch_ends_with_the_same_bits(tmp_path):
    whole = run(tmp_path / "whole")
    assert kill(tmp_path / "killed", 0.25)
    assert run(tmp_path / "killed") == whole


@pytest.mark.extended
def test_five_kills_at_random_moments_change_no_bit(tmp_path):
    whole = run(tmp_path / "whole")
    moments = random.Random(11)
    kills = [kill(tmp_path / "killed", moments.uniform(0.0, 0.3)) for _ in range(5)]
    assert run(tmp_path / "killed") == whole
    sys.stdout.write(f"{sum(kills)} of 5 kills within an epoch\n")
    assert sum(kills) >= 4


@pytest.mark.extended
@pytest.mark.parametrize("terms", ["own", "coupled"])
def test_two_processes_learn_what_one_does(tmp_path, terms):
    """Cases without labels and with weights are spread unevenly: denominators are those of the whole batch, coupled terms see all of it."""
    alone, shared = run(tmp_path / "one", "--terms", terms), run(tmp_path / "two", "--terms", terms, processes=2)
    assert len(alone["epochs"]) == len(shared["epochs"]) == 3
    for one, two in zip(alone["epochs"], shared["epochs"], strict=True):
        assert set(one) == set(two)
        assert two == pytest.approx(one, abs=1e-5, rel=1e-4)

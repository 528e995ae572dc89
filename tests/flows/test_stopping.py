"""Ctrl-C, sent as a terminal sends it (to every process of the group), at three moments, with either engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("stopping")
#: What the log or the folder shows at each moment: imports are going on, a store is being filled, networks are being trained.
MOMENTS = {"start": lambda _: True, "cohorts": lambda run: (run / "dicom").is_dir(), "training": lambda run: (run / "training").is_dir()}

USUAL = {("none", "start"), ("prefect", "start"), ("none", "cohorts")}


def start(folder: Path, engine: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "flows.cli", "demo", "--size", "smoke", "--engine", engine, "--out", str(folder)]
    # With worker processes there is more to stop, however many the environment of the tests wants.
    environment = {**os.environ, "MEDKD_WORKERS": "2"}
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )


def interrupt(folder: Path, engine: str, moment: str) -> tuple[int, str, float]:
    """Return exit status, standard error and the seconds that the run took to end."""
    process = start(folder, engine)
    time.sleep(1.5)
    deadline = time.monotonic() + 90
    while not MOMENTS[moment](folder) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.3)
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=30)
    return process.returncode, error, time.monotonic() - started


def group_of(folder: Path) -> list[str]:
    """Return the command lines of processes that still name this run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes():
                found.append((entry / "cmdline").read_bytes().decode())
        except OSError:
            continue
    return found


#: Each takes what the run takes until then: the quick ones are tried in every run of the tests, the others in the extended one.
CASES = [
    pytest.param(engine, moment, marks=() if (engine, moment) in USUAL else pytest.mark.extended)
    for engine in ("prefect", "none")
    for moment in MOMENTS
]


@pytest.mark.parametrize(("engine", "moment"), CASES)
def test_ctrl_c_is_one_sentence_within_three_seconds_and_leaves_nothing_running(tmp_path, engine, moment):
    status, error, seconds = interrupt(tmp_path / "run", engine, moment)
    assert status == 130, error
    assert error.splitlines()[-1] == "stopped; start the same command to go on", error
    assert "Traceback" not in error
    assert seconds < 3
    deadline = time.monotonic() + 5
    while group_of(tmp_path / "run") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert group_of(tmp_path / "run") == []


@pytest.mark.extended
def test_the_same_command_goes_on_and_repeats_at_most_what_was_at_work(tmp_path):
    interrupt(tmp_path / "run", "none", "training")
    finished = start(tmp_path / "run", "none")
    _, error = finished.communicate(timeout=280)
    assert finished.returncode == 0, error
    started = Counter((tmp_path / "run" / "stages" / "begun.log").read_text().split())
    assert sum(count - 1 for count in started.values()) <= 2


def test_an_interrupt_inside_of_an_exec_ends_with_the_status_too(tmp_path):
    """As modules are imported dataclasses are made by `exec`; `python -m` then ends by the signal unless it is told otherwise."""
    (tmp_path / "probe.py").write_text(
        "from flows.stopping import stoppable\n"
        "with stoppable():\n"
        "    exec('import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)')\n"
    )
    places = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-m", "probe"], env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr == "stopped; start the same command to go on\n"

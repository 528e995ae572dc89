from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

#: Starts the process that workers are forked from, and ends without a goodbye once that one has begun to import torch.
STARTER = """
import multiprocessing.forkserver, os, time
from pathlib import Path
from flows.workers import _context
_context()
multiprocessing.forkserver.ensure_running()
number = multiprocessing.forkserver._forkserver._forkserver_pid
while "libtorch" not in Path(f"/proc/{number}/maps").read_text():
    time.sleep(0.01)
os.write(1, str(number).encode())
os._exit(0)
"""


def is_running(number: int) -> bool:
    """Say whether a process runs: one that has ended stays listed until somebody asks for its status."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_the_process_that_workers_are_forked_from_ends_with_the_run_also_while_it_imports():
    number = int(subprocess.run([sys.executable, "-c", STARTER], capture_output=True, check=True, timeout=60).stdout)
    deadline = time.monotonic() + 1.0  # the rest of its imports would take longer
    while is_running(number) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(number)

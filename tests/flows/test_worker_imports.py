from __future__ import annotations

import subprocess
import sys

import pytest

#: Says what forking from a process that has imported the module would hand on: threads of ours, a GPU that was looked at.
PROBE = """
import threading
import torch
asked = []
for name in ("init", "is_available", "device_count", "current_device"):
    setattr(torch.cuda, name, lambda *_, name=name, **__: asked.append(name) or 0)
import flows.worker_imports
print(threading.active_count(), torch.cuda.is_initialized(), asked)
"""


@pytest.mark.extended
def test_what_workers_are_forked_from_has_one_thread_and_never_looked_at_a_gpu():
    """A driver that is asked before a fork answers no process that comes of it."""
    said = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=120)
    assert said.stdout.split("\n")[0] == "1 False []"

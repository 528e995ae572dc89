from __future__ import annotations

import os
import subprocess
import sys

import pytest

from medkd.storage.process_mark import has_ended, process_mark

SAY = "import sys; from medkd.storage.process_mark import process_mark; print(process_mark(), flush=True); sys.stdin.read()"


def test_a_process_at_work_has_not_ended():
    assert has_ended(process_mark()) is False


@pytest.mark.parametrize("is_waited_for", [True, False], ids=["gone", "zombie"])
def test_a_killed_one_has(is_waited_for):
    with subprocess.Popen([sys.executable, "-c", SAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        mark = process.stdout.readline().strip()
        assert has_ended(mark) is False
        process.kill()
        if is_waited_for:
            process.wait()
        else:
            # It is dead, and nobody has asked how it died.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert has_ended(mark) is True


def test_another_process_of_the_same_number_is_not_it():
    host, number, began = process_mark().rsplit(":", 2)
    assert has_ended(f"{host}:{number}:{int(began) - 1}") is True


@pytest.mark.parametrize("mark", ["elsewhere:1:1", "", "a:b:c", "1:2"])
def test_of_what_is_not_here_nothing_is_said(mark):
    assert has_ended(mark) is None

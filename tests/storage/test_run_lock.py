"""One process at a time in a run folder, and nobody waits for the dead."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from data_contracts import OutputError
from flows.start import start_engine
from medkd.storage.run_lock import LOCK, alone_in

HOLDER = "import sys, time\nfrom pathlib import Path\nfrom medkd.storage.run_lock import alone_in\nwith alone_in(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "held"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_refused_and_names_the_first(tmp_path, holder):
    with pytest.raises(OutputError) as caught, start_engine("none", tmp_path, workers=0):
        pytest.fail("two runs in one folder")
    assert caught.value.code == "RUN_BUSY"
    assert f"process {holder.pid} on {socket.gethostname()} works in it since 20" in str(caught.value)
    assert not (tmp_path / "run.log").exists()


def test_the_lock_of_a_dead_process_is_nobodys(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK).is_file()
    with start_engine("none", tmp_path, workers=0):
        assert str(os.getpid()) in (tmp_path / LOCK).read_text()
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize("left", [b"", b"junk", b'{"pid": 1, "host": "elsewhere", "since": "1999"}'])
def test_whatever_a_stale_lock_holds(tmp_path, left):
    (tmp_path / LOCK).write_bytes(left)
    with alone_in(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def test_never_two_at_once(tmp_path):
    inside, most, guard = [0], [0], threading.Lock()

    def work():
        for _ in range(20):
            try:
                with alone_in(tmp_path):
                    with guard:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                    with guard:
                        inside[0] -= 1
            except OutputError:
                continue

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_number_of_workers_that_is_none(tmp_path, monkeypatch):
    for wanted in ("x", "-1", "1.5", "99999999999", ""):
        monkeypatch.setenv("MEDKD_WORKERS", wanted)
        with pytest.raises(Exception, match="MEDKD_WORKERS") as caught, start_engine("none", tmp_path):
            pass
        assert caught.value.code == "WORKERS_INVALID"

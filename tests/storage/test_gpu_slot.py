"""Slots are held by processes, so they are tested with processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from data_contracts import MissingDependencyError
from medkd.storage.gpu_slot import gpu_slot, gpu_slots, lock_folder

HOLD = """
import sys, time
from pathlib import Path
from medkd.storage.gpu_slot import gpu_slot
with gpu_slot(gpus=int(sys.argv[2]), folder=Path(sys.argv[1])) as index:
    print(index, flush=True)
    time.sleep(60)
"""


def hold(folder, gpus):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), str(gpus)], stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


@pytest.fixture
def holders(tmp_path):
    found = [hold(tmp_path, 2) for _ in range(2)]
    yield found
    for process, _ in found:
        process.kill()
        process.wait()
        process.stdout.close()


def test_each_gpu_is_held_once_and_a_killed_holder_frees_it_at_once(tmp_path, holders):
    assert sorted(index for _, index in holders) == [0, 1]
    with pytest.raises(MissingDependencyError) as caught, gpu_slot(gpus=2, folder=tmp_path, most_s=0.2):
        pass
    assert caught.value.code == "GPU_BUSY"
    victim, index = holders[0]
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    started = time.monotonic()
    with gpu_slot(gpus=2, folder=tmp_path, most_s=5) as student_values:
        assert student_values == index
    assert time.monotonic() - started < 2


def test_other_users_may_lock_too(tmp_path):
    with gpu_slot(gpus=1, folder=tmp_path / "locks"):
        assert (tmp_path / "locks").stat().st_mode & 0o777 == 0o777
        assert (tmp_path / "locks" / "gpu-0.lock").stat().st_mode & 0o666 == 0o666


def test_a_slot_is_given_back_after_an_exception(tmp_path):
    with pytest.raises(ZeroDivisionError), gpu_slot(gpus=1, folder=tmp_path):
        raise ZeroDivisionError
    with gpu_slot(gpus=1, folder=tmp_path, most_s=0) as index:
        assert index == 0


def test_without_a_gpu_nothing_is_held(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_LOCKS", str(tmp_path / "locks"))
    with gpu_slot(gpus=0) as index:
        assert index is None
    assert lock_folder() == tmp_path / "locks"
    assert not lock_folder().exists()


def test_several_are_held_together_or_none(tmp_path):
    with gpu_slots(2, gpus=3, folder=tmp_path) as held:
        assert held == (0, 1)
        with (
            pytest.raises(MissingDependencyError, match="expected 2 of 3 GPUs to be free") as caught,
            gpu_slots(2, gpus=3, folder=tmp_path, most_s=0),
        ):
            pass
        assert caught.value.code == "GPU_BUSY"
        # What the one that had to wait could have had is free.
        with gpu_slot(gpus=3, folder=tmp_path, most_s=0) as third:
            assert third == 2
    with (
        pytest.raises(MissingDependencyError, match="expected 4 GPUs for as many processes, there are 3") as caught,
        gpu_slots(4, gpus=3, folder=tmp_path),
    ):
        pass
    assert caught.value.code == "GPU_TOO_FEW"

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from flows import workers
from flows.workers import Workers, _ignoring_interrupts, _in_worker


@pytest.fixture
def heard(monkeypatch):
    shares = []
    monkeypatch.setattr(workers, "_own_share", shares.append)
    return shares


def test_a_worker_says_when_it_begins_and_ends(heard):
    assert _in_worker(lambda number: 2 * number, 4) == 8
    assert heard == [0.0, 0.0]


def test_a_share_is_taken_back_where_the_work_fails(heard):
    with pytest.raises(ZeroDivisionError):
        _in_worker(lambda: 1 / 0)
    assert heard == [0.0, 0.0]


def test_interrupts_are_ignored_for_a_while_and_handled_as_before():
    before = signal.getsignal(signal.SIGINT)
    with _ignoring_interrupts():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_that_cannot_ask_for_signals_goes_on_without():
    seen = []

    def work():
        with _ignoring_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


def test_a_process_goes_on_while_its_parent_is_there_and_ends_with_it(monkeypatch):
    parents, ended = iter([7, 7, 1]), []
    monkeypatch.setattr(workers.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(workers.time, "sleep", lambda _: None)
    monkeypatch.setattr(workers.os, "_exit", ended.append)
    workers.end_with_parent(7)
    assert ended == [1]
    assert next(parents, None) is None


def environment_of(name: str) -> str | None:
    return os.environ.get(name)


@pytest.mark.extended
@pytest.mark.extended
def test_workers_are_forked_after_the_imports_and_have_the_environment_of_whom_they_work_for(monkeypatch):
    """The process that they are forked from stays: it may have been started under another environment."""
    for value in ("first", "second"):
        monkeypatch.setenv("MEDKD_TEST_PLACE", value)
        pool = Workers(2)
        try:
            assert pool.submit(environment_of, "MEDKD_TEST_PLACE").result(timeout=120) == value
            starters = {pool.submit(os.getppid).result(timeout=120) for _ in range(4)}
        finally:
            pool.close()
        assert (os.getpid() in starters) is (sys.platform != "linux")


RUN = """
import time
from flows.workers import Workers
from tests.flows.test_workers import burn
pool = Workers(1)
pool.submit(burn, 2.0).result()
pool.close()
"""


def burn(seconds: float) -> None:
    """Use the processor for some seconds of its time."""
    while time.process_time() < seconds:
        pass


@pytest.mark.extended
def test_what_workers_cost_is_told_to_whoever_started_the_run():
    root = Path(__file__).parents[2]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", RUN], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime > 2.0  # the starter itself uses a third of a second


def die_once(mark: str) -> str:
    """End this process in the middle of its work, the first time."""
    if not os.path.exists(mark):
        open(mark, "x").close()
        os._exit(9)
    return "done"


@pytest.mark.extended
def test_workers_are_started_anew_once_one_was_lost(tmp_path):
    pool = Workers(1)
    try:
        with pytest.raises(BrokenProcessPool):
            pool.submit(die_once, str(tmp_path / "mark")).result(timeout=120)
        assert pool.submit(die_once, str(tmp_path / "mark")).result(timeout=120) == "done"
        pool.end()
        with pytest.raises(BrokenProcessPool):  # ended on purpose: nothing begins any more
            pool.submit(os.getpid).result(timeout=120)
    finally:
        pool.close()

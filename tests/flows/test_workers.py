from __future__ import annotations

import signal
import threading

import pytest

from flows import workers
from flows.workers import _ignoring_interrupts, _in_worker


@pytest.fixture
def heard(monkeypatch):
    shares = []
    monkeypatch.setattr(workers, "_own_share", shares.append)
    return shares


def test_a_worker_says_when_it_begins_and_ends_and_how_long_it_took(heard):
    result, seconds = _in_worker(lambda number: 2 * number, 4)
    assert result == 8
    assert 0 <= seconds < 1
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

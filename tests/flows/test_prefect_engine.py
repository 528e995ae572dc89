"""How work is handed to worker processes under Prefect (with its server: test_confidential.py, test_engine.py)."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace

import pytest

from data_contracts import MissingDependencyError
from flows.prefect_engine import PrefectEngine, _key, _noted


def double(number):
    return 2 * number


@pytest.fixture
def group():
    done = []
    return SimpleNamespace(finished=lambda name, seconds: done.append((name, seconds)), done=done)


def pool_of(answer):
    def submit(function, *arguments):
        future = Future()
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result((function(*arguments), answer))
        return future

    return SimpleNamespace(submit=submit)


def test_names_are_written_as_prefect_does():
    assert _key(SimpleNamespace(__name__="train_teacher")) == "train-teacher"


def test_without_workers_the_work_is_done_here_and_its_end_is_noted(group):
    assert _noted(double, None, "kd-0", group)(4) == 8
    ((name, seconds),) = group.done
    assert name == "kd-0"
    assert 0 <= seconds < 1
    assert _noted(double, None, "kd-0", None)(4) == 8


def test_a_workers_own_time_is_noted_and_not_how_long_it_was_waited_for(group):
    assert _noted(double, pool_of(12.5), "kd-0", group)(4) == 8
    assert group.done == [("kd-0", 12.5)]


def test_a_worker_that_was_lost_is_said_and_not_noted(group):
    with pytest.raises(MissingDependencyError) as caught:
        _noted(double, pool_of(BrokenProcessPool()), "kd-0", group)(4)
    assert caught.value.code == "WORKER_LOST"
    assert group.done == []


def test_an_engine_of_a_server_that_the_user_has_starts_none(monkeypatch):
    from flows import prefect_engine

    settings = SimpleNamespace(home=None, api=SimpleNamespace(url="http://127.0.0.1:1/api"))
    monkeypatch.setattr(prefect_engine, "get_current_settings", lambda: settings)
    engine = PrefectEngine(None)
    assert engine.server is None
    engine._await_server()
    engine.close()

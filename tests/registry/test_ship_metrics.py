"""Metrics on their way while trainings run: each epoch once, nothing lost where a server is gone, nobody waits for it."""

from __future__ import annotations

import threading

import pytest

from medkd.registry.recipe_run import RECIPE_RUN, RUN_FOLDER, RecipeRun, TrackedTraining
from medkd.registry.ship_metrics import Cursor, MetricsShipper
from medkd.storage.metrics_log import MetricsLog
from medkd.storage.workspace import Workspace


class Tracked:
    """A tracking server that notes what it is sent, and fails as often as it is told."""

    def __init__(self, failures=0):
        self.failures, self.sent, self.abandoned = failures, [], []

    def training(self, training):
        return f"run of {training.name}"

    def log_history(self, run_id, history):
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        self.sent.append((run_id, [int(line["epoch"]) for line in history]))

    def abandon_recipe(self, run, status):
        self.abandoned.append((run.recipe, status))


@pytest.fixture
def training(tmp_path):
    run = RecipeRun("r", "key", {}, {RECIPE_RUN: "key", RUN_FOLDER: "f"})
    return TrackedTraining(run, "kd-0", tmp_path / "training" / "metrics.jsonl")


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path, "http://user:secret@server:5000")


def shipper(workspace, training, server):
    return MetricsShipper(workspace, [training], lambda: server, look_s=0.01)


def test_each_epoch_is_sent_once(workspace, training):
    log, server = MetricsLog(training.journal), Tracked()
    first = shipper(workspace, training, server)
    log.write_epoch(1, {"loss": 3.0})
    log.write_epoch(2, {"loss": 2.0})
    first.start()
    assert first.drain()
    log.write_epoch(3, {"loss": 1.0})
    second = shipper(workspace, training, server)
    second._since = 0.0
    second.start()
    assert second.drain()
    assert [epoch for _, epochs in server.sent for epoch in epochs] == [1, 2, 3]
    assert {run for run, _ in server.sent} == {"run of kd-0"}
    assert Cursor(workspace).epoch(training.key()) == 3


def test_nobody_waits_for_the_last_look(workspace, training):
    server, may_answer = Tracked(), threading.Event()
    own = MetricsShipper(workspace, [training], lambda: may_answer.wait(30) and server, look_s=60.0)
    MetricsLog(training.journal).write_epoch(1, {"loss": 3.0})
    own.start()
    own.finish()
    assert server.sent == []
    may_answer.set()
    assert own.drain()
    assert server.sent == [("run of kd-0", [1])]


def test_a_journal_of_an_earlier_training_is_left_alone(workspace, training):
    MetricsLog(training.journal).write_epoch(1, {"loss": 3.0})
    server = Tracked()
    own = shipper(workspace, training, server)
    own.start()
    assert own.drain()
    assert server.sent == []


def test_what_failed_is_not_counted_as_sent_and_sent_by_the_next(workspace, training, monkeypatch, caplog):
    server = Tracked(failures=1)
    own = shipper(workspace, training, server)
    MetricsLog(training.journal).write_epoch(1, {"loss": 3.0})
    own._stop.set()
    own.start()
    assert not own.drain()
    assert (server.sent, Cursor(workspace).epoch(training.key())) == ([], 0)
    assert "ConnectionError" in caplog.text
    assert "secret" not in caplog.text
    again = shipper(workspace, training, server)
    again._since = 0.0
    again.start()
    assert again.drain()
    assert server.sent == [("run of kd-0", [1])]


def test_the_runs_of_what_failed_are_ended(workspace, training):
    server = Tracked()
    own = shipper(workspace, training, server)
    MetricsLog(training.journal).write_epoch(1, {"loss": 3.0})
    own.start()
    own.abandon("FAILED")
    assert server.abandoned == [("r", "FAILED")]


def test_a_cursor_is_one_of_each_server_and_a_broken_one_begins_anew(workspace, tmp_path):
    Cursor(workspace).move("a", 4)
    Cursor(workspace).move("b", 2)
    assert (Cursor(workspace).epoch("a"), Cursor(workspace).epoch("b")) == (4, 2)
    assert Cursor(Workspace(tmp_path, "http://other")).epoch("a") == 0
    (path,) = (tmp_path / "tracking").glob("sent-*.json")
    for broken in ("{", "[1]"):
        path.write_text(broken)
        assert Cursor(workspace).epoch("a") == 0

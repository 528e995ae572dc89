from __future__ import annotations

import functools
import inspect
import logging
import shutil
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import prefect
import pytest
import torch

from data_contracts import MissingDependencyError, ReportSet
from flows.engine import CURRENT, PlainEngine
from flows.prefect_engine import for_others
from flows.work import Sealed, Work, log_to_run, processes_of
from medkd.storage.workspace import Workspace
from tests.flows.recording import golden_recipe


def double(number: int) -> int:
    return 2 * number


class Pool:
    """Workers that answer at once, or are lost."""

    count = 1

    def __init__(self, *, lost=False):
        self.lost, self.asked = lost, 0

    def submit(self, call):
        future, self.asked = Future(), self.asked + 1
        if self.lost:
            future.set_exception(BrokenProcessPool())
        else:
            future.set_result(call())
        return future


@pytest.fixture
def in_charge():
    tokens = []

    def put(pool):
        tokens.append(CURRENT.set(PlainEngine(pool)))
        return pool

    yield put
    for token in reversed(tokens):
        CURRENT.reset(token)


def test_without_workers_it_is_done_here():
    assert Work(double)(4) == 8
    assert inspect.unwrap(Work(double)) is double


def test_where_the_engine_has_workers_one_of_them_does_it(in_charge):
    pool = in_charge(Pool())
    assert Work(double)(number=4) == 8
    assert pool.asked == 1


def test_a_worker_that_was_lost_is_said(in_charge):
    in_charge(Pool(lost=True))
    with pytest.raises(MissingDependencyError) as caught:
        Work(double)(4)
    assert caught.value.code == "WORKER_LOST"


def test_the_log_of_the_run_says_the_time_and_what_came_of_it(monkeypatch):
    lines = []
    monkeypatch.setattr(prefect, "get_run_logger", lambda: SimpleNamespace(info=lambda text, *values: lines.append(text % values)))
    assert Work(double, lambda result: f"{result} it is")(4) == 8
    assert lines == ["done in 0.0 s: 8 it is"]


def test_outside_of_a_run_nobody_is_told(caplog):
    with caplog.at_level(logging.DEBUG):
        log_to_run("said %s", 1)
    assert "said" not in caplog.text


def test_a_training_by_several_processes_needs_as_many_slots():
    spec = golden_recipe().teacher_training()
    several = spec.model_copy(update={"fit": spec.fit.model_copy(update={"processes": 4})})
    assert processes_of(functools.partial(double, 1)) == 1
    assert processes_of(functools.partial(double, spec)) == 1
    assert processes_of(functools.partial(double, 1, spec=several)) == 4


def run_of(workspace: Workspace) -> tuple[Path, ReportSet]:
    ref = workspace.store.write_tensors("x.safetensors", {"x": torch.zeros(1)})
    return workspace.root, ReportSet(reports=(ref,), pages=(), pictures=(), explanations=())


def test_a_worker_with_a_folder_of_its_own_works_there_and_leaves_what_it_made(tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    here = Workspace(tmp_path / "run", "http://server", store_uri=str(tmp_path / "shared"))
    monkeypatch.delenv("MEDKD_WORK", raising=False)
    assert Work(run_of)(Sealed(here))[0] == here.root
    monkeypatch.setenv("MEDKD_WORK", str(tmp_path / "work"))
    (sent,) = for_others((here,))
    shutil.rmtree(here.root / "store")
    root, made = Work(run_of)(Sealed(sent))
    assert root.parent == tmp_path / "work"
    assert here.store.read_tensors(made.reports[0])["x"].tolist() == [0.0]


def test_what_a_call_refers_to_is_left_for_the_worker(tmp_path):
    (tmp_path / "shared").mkdir()
    here = Workspace(tmp_path / "run", "http://server", store_uri=str(tmp_path / "shared"))
    made = run_of(here)[1]
    sent, _ = for_others((here, made))
    there = sent.on_this_machine(tmp_path / "work")
    assert there.store.read_tensors(made.reports[0])["x"].tolist() == [0.0]

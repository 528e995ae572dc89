from __future__ import annotations

import sys

import pytest
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from data_contracts import MissingDependencyError
from flows.task_runners import THREADS, Runner, RunnerChoice, choose_runner, make_runner


def test_threads_are_the_default_and_go_by_the_workers_of_the_run():
    assert choose_runner(None, 2) == choose_runner("threads", 2) == RunnerChoice()
    alone, beside = make_runner(RunnerChoice(), None), make_runner(RunnerChoice(), object())
    assert isinstance(alone, ThreadPoolTaskRunner)
    assert (alone._max_workers, beside._max_workers) == (1, THREADS)  # stages seed the one global generator of torch


def test_a_pool_of_processes_is_as_wide_as_the_run_and_never_empty():
    assert choose_runner("processes", 2) == RunnerChoice(Runner.processes, 2)
    assert choose_runner("processes", 0).count == 1
    made = make_runner(choose_runner("processes", 2), None)
    assert isinstance(made, ProcessPoolTaskRunner)
    assert made._max_workers == 2


def test_a_cluster_is_started_or_named():
    dask = pytest.importorskip("prefect_dask")
    assert choose_runner("dask", 2) == RunnerChoice(Runner.dask, 2)
    assert choose_runner("tcp://scheduler:8786", 2) == RunnerChoice(Runner.dask, 2, "tcp://scheduler:8786")
    embedded, named = make_runner(choose_runner("dask", 2), None), make_runner(choose_runner("tcp://scheduler:8786", 2), None)
    assert isinstance(embedded, dask.DaskTaskRunner)
    assert (embedded.cluster_kwargs["n_workers"], embedded.cluster_kwargs["threads_per_worker"]) == (2, 1)
    assert named.address == "tcp://scheduler:8786"


@pytest.mark.parametrize("wanted", ["thread", "http://scheduler:8786", "", "x" * 500])
def test_anything_else_is_refused_with_what_there_is(wanted):
    with pytest.raises(MissingDependencyError, match="expected one of threads, processes, dask, or the address") as caught:
        choose_runner(wanted, 2)
    assert caught.value.code == "TASK_RUNNER"
    assert len(str(caught.value)) < 300


def test_dask_that_is_not_there_is_said_with_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    with pytest.raises(MissingDependencyError, match="pip install") as caught:
        choose_runner("dask", 2)
    assert caught.value.code == "DASK_MISSING"

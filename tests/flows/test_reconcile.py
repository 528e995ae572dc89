"""Runs whose process is gone (with a Prefect server: test_deployments.py)."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from flows.reconcile import is_orphan, to_restart
from medkd.registry.publish import open_registry
from medkd.storage.process_mark import PROCESS, process_mark
from medkd.storage.workspace import local_workspace

BEGIN = """
import os, sys
from pathlib import Path
from medkd.registry.publish import open_registry
from medkd.storage.process_mark import process_mark
from medkd.storage.workspace import local_workspace
open_registry(local_workspace(Path(sys.argv[1]))).runs.begin("night", "cut short", {"of": "it"}, {})
print(process_mark(), flush=True)
os.kill(os.getpid(), 9)
"""


def run_of(*tags):
    return SimpleNamespace(tags=list(tags))


@pytest.mark.extended
def test_a_run_of_mlflow_whose_process_was_killed_is_said_to_be_over_and_others_go_on(tmp_path):
    registry = open_registry(local_workspace(tmp_path))
    goes_on = registry.runs.begin("night", "goes on", {"of": "another"}, {})
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", BEGIN, str(tmp_path)], capture_output=True, text=True)
    mark = done.stdout.strip()
    assert registry.end_orphans() == ("cut short",)
    assert registry.end_orphans() == ()
    assert registry._client.get_run(goes_on).info.status == "RUNNING"
    assert is_orphan(run_of("a", f"{PROCESS}:{mark}"))


def test_a_run_of_prefect_is_an_orphan_when_its_last_process_is_gone():
    alive, gone = process_mark(), f"{process_mark().rpartition(':')[0]}:1"
    assert not is_orphan(run_of())
    assert not is_orphan(run_of("a", f"{PROCESS}:{alive}"))
    assert is_orphan(run_of("a", f"{PROCESS}:{gone}"))
    assert not is_orphan(run_of(f"{PROCESS}:elsewhere:1:1"))  # another machine's: that one says it


def deployed_run(name, minute, state, deployment="d"):
    at = datetime(2026, 11, 27, 2, minute, tzinfo=UTC)
    return SimpleNamespace(
        name=name, deployment_id=deployment, start_time=at, expected_start_time=at, state_type=SimpleNamespace(value=state), tags=[]
    )


def test_the_newest_run_of_a_deployment_is_begun_again_when_it_crashed_and_not_for_ever():
    crashed = [deployed_run(str(minute), minute, "CRASHED") for minute in range(3)]

    def names(*runs):
        return [one.name for one in to_restart(runs)]

    assert names(*crashed[:2]) == ["1"]
    assert names(*crashed) == []  # three times: somebody has to look
    assert names(*crashed, deployed_run("3", 3, "RUNNING")) == []
    assert names(deployed_run("fine", 0, "COMPLETED"), *crashed[1:]) == ["2"]
    assert names(deployed_run("a", 1, "CRASHED", None), deployed_run("b", 1, "CRASHED", "e"), deployed_run("c", 1, "FAILED")) == ["b"]

"""What Prefect records of our runs, asked of Prefect itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_contracts import Recipe
from flows.prefect_engine import PrefectEngine, recipes_in, run_name
from tests.flows.recording import golden_recipe
from tests.ground_truth import CANARY, open_to_others, places_of

ROOT = Path(__file__).parents[2]


def run(tmp_path, smoke, runner, workers):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(smoke.cache)}
    for name in ("PREFECT_HOME", "MEDKD_OWN_PREFECT_HOME", "PREFECT_API_URL"):
        environment.pop(name, None)
    command = [sys.executable, "-W", "ignore", "-m", "tests.flows.prefect_run", str(tmp_path / "run"), str(tmp_path / CANARY), runner]
    done = subprocess.run([*command, str(workers)], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""  # nothing of Prefect's own on the terminal
    return json.loads(done.stdout)


def check_recorded(said, folder, path):
    assert said["answers"] == [[path, "answered"], ["STORE_MISSING", f"expected bytes at {path}, found none"]]
    given = {"path": "not recorded", "works": "not recorded"}
    assert sorted(run[:3] for run in said["flows"]) == [
        ["whole", "Completed", given],
        ["whole", "Failed", given],
    ]  # a flow in a flow is a part of it
    assert [tag.split(":")[0] for run in said["flows"] for tag in run[3]] == ["medkd.process"] * 2
    assert sorted(said["tasks"]) == [
        ["drop-once 1", "Completed", 2],  # no answer, then one
        ["echo r kd-0", "Completed", 1],
        ["echo r kd-0", "Completed", 1],
        ["fail 1", "Failed", 1],  # what we refuse is not asked again
    ]
    assert sum(line.startswith("done in") and line.endswith("s: as it was") for line in said["logs"]) == 2
    assert any("StoreError STORE_MISSING" in line for line in said["logs"])
    shown = {key: (kind, data) for key, kind, data in said["artifacts"]}
    assert (shown["progress"][0], float(shown["progress"][1]) in (75.0, 100.0)) == ("progress", True)
    assert "min_auc, measured 0.9, bound 0.8" in shown["teacher-gate-my-recipe-2"][1]
    assert all(key for key, _, _ in said["artifacts"])  # no word of a result or of where it would lie
    assert places_of(CANARY, folder) == []
    assert open_to_others(folder) == []
    assert "STORE_MISSING" not in (folder / "run.log").read_text()  # it was caught, and the run went on


@pytest.mark.xdist_group("demo")
def test_runs_are_named_tagged_logged_and_shown_and_say_nothing_of_what_with(tmp_path, smoke):
    check_recorded(run(tmp_path, smoke, "threads", 0), tmp_path / "run", str(tmp_path / CANARY))


@pytest.mark.extended
@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize(("runner", "workers"), [("threads", 2), ("processes", 2), ("dask", 2)])
def test_wherever_tasks_run_the_same_is_recorded(tmp_path, smoke, runner, workers):
    check_recorded(run(tmp_path, smoke, runner, workers), tmp_path / "run", str(tmp_path / CANARY))


def test_a_run_is_called_after_its_flow_and_its_recipes():
    recipes = (golden_recipe("a"), golden_recipe("b"))
    assert all(isinstance(one, Recipe) for one in recipes)
    assert recipes_in(("workspace", recipes), {"other": golden_recipe("c")}) == ["a", "b", "c"]
    assert run_name("pipeline", ("workspace", recipes), {}) == "pipeline a b"
    assert run_name("replay", ("workspace", Path("folder")), {}) == "replay"


def test_an_engine_of_a_server_that_the_user_has_starts_none_and_ends_none():
    engine = PrefectEngine(None)
    engine._await_server()
    engine.close()
    assert engine.server is None

"""What a run is made of is killed in the middle of it, one at a time, and comes back: the same digests, and what was repeated is said.

Prefect's server is a lasting one on Debian's PostgreSQL; the run is a small recipe, as large as shows it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from dask_cluster import dask_cluster
from postgres_server import postgres_server

from tests.flows.prefect_site import ROOT, Site

pytestmark = [pytest.mark.extended, pytest.mark.xdist_group("kills"), pytest.mark.timeout(1500)]
RECIPE = ROOT / "flows" / "recipes" / "phantom-classification.yaml"
#: What is killed is asked here, what is learned elsewhere; long enough to be in the middle of it.
SMALL = {
    "data.teacher": 64, "data.teacher_validation": 32, "data.student": 64, "data.test": 32, "data.debiased": 32, "data.reversed": 32,
    "data.marker_pairs": 8, "seeds": [0], "teacher.fit.epochs": 3, "student.fit.epochs": 25, "teacher.gate.enforce": False, "explain.cases": 2,
    "explain.explainers": [{"name": "cam"}],
    "teacher.network.options.channels": [4, 4, 4, 4], "student.network.options.channels": [4, 4, 4, 4],
}  # fmt: skip


@pytest.fixture(scope="module")
def postgres():
    with postgres_server("prefect") as server:
        yield server


@pytest.fixture
def site(postgres, tmp_path):
    """Return a Prefect server on a database of its own."""
    database = postgres.new_database(f"prefect_{os.getpid()}_{time.monotonic_ns()}").replace("postgresql://", "postgresql+asyncpg://")
    own = Site(tmp_path, PREFECT_API_DATABASE_CONNECTION_URL=database, PGPASSFILE=str(postgres.passfile))
    yield own
    own.close()


class Run:
    """A run of the command line in a process of its own."""

    def __init__(self, folder, *options, **environment):
        self.folder, self.log = folder, folder.with_suffix(".log")
        overrides = [part for name, value in SMALL.items() for part in ("--set", f"{name}={json.dumps(value)}")]
        self.command = [sys.executable, "-m", "flows.cli", "run", RECIPE, "--out", folder, *overrides, *options, "--json"]
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "MEDKD_WORKERS": "1", "MEDKD_ENGINE": "prefect", **environment}
        self.start()

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                list(map(str, self.command)), cwd=self.folder.parent, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def started(self, stage):
        log = self.folder / "stages" / "begun.log"
        return Counter(line.rpartition("-")[0] for line in log.read_text().splitlines())[stage] if log.is_file() else 0

    def is_in_training(self):
        """Return whether the first student has done an epoch."""
        return self.started("distill") == 1 and any(self.folder.glob("training/*/[!t]*/metrics.jsonl"))

    def wait_for(self, condition, seconds=600):
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.2)

    def end(self, seconds=900):
        """Return exit status and, of a run that came to its end, what it said."""
        said, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, json.loads(said.splitlines()[-1]) if self.process.returncode == 0 else {}


def digests(summary):
    return {one["name"]: one["digest"] for one in summary["models"]}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the digests of a run without an orchestrator that nothing happens to."""
    status, summary = Run(tmp_path_factory.mktemp("alone") / "run", "--engine", "none").end()
    assert status == 0
    assert summary["repeated"] == {}
    return digests(summary)


@pytest.fixture
def running(site, tmp_path):
    """Return a run by Prefect's server that has begun to train a student."""
    run = Run(tmp_path / "run", **site.environment)
    try:
        run.wait_for(lambda: run.started("distill") >= 1)
        yield run
    finally:
        run.process.kill()


def states(site):
    return Counter(one["state"]["type"] for one in site.post("/flow_runs/filter", {}))


def test_a_prefect_server_that_is_killed_and_comes_back_costs_nothing(site, running, undisturbed):
    site.kill_server()
    time.sleep(8)
    site.start_server()
    status, summary = running.end()
    assert status == 0, running.log.read_text()[-3000:]
    assert digests(summary) == undisturbed
    assert summary["repeated"] == {}
    assert states(site) == {"COMPLETED": 1}


def test_a_prefect_server_that_stays_away_ends_the_run_in_one_sentence_and_the_same_command_goes_on(site, tmp_path, undisturbed):
    # One more try and not five: the minute that a client asks again is Prefect's own and not waited for here.
    run = Run(tmp_path / "run", **{**site.environment, "PREFECT_CLIENT_MAX_RETRIES": "1"})
    run.wait_for(lambda: run.started("distill") >= 1)
    site.kill_server()
    assert run.end() == (2, {})
    assert "PREFECT_UNREACHABLE: expected Prefect's server to answer" in run.log.read_text()
    site.start_server()
    reconcile = "import sys; from pathlib import Path; from flows.reconcile import reconcile_runs; from medkd.storage.workspace import local_workspace; print(reconcile_runs(local_workspace(Path(sys.argv[1]))))"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", reconcile, run.folder], env=run.environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    assert states(site) == {"CRASHED": 1}
    run.start()
    status, summary = run.end()
    assert status == 0, run.log.read_text()[-3000:]
    assert digests(summary) == undisturbed
    assert set(summary["repeated"]) <= {"distill"}, "what was finished is not repeated"
    assert states(site) == {"CRASHED": 1, "COMPLETED": 1}


def test_a_database_that_is_killed_and_comes_back_costs_nothing(site, running, undisturbed, postgres):
    postgres.kill()
    time.sleep(8)
    postgres.start()
    status, summary = running.end()
    assert status == 0, running.log.read_text()[-3000:]
    assert digests(summary) == undisturbed
    assert summary["repeated"] == {}
    site.wait_for(lambda: states(site) == {"COMPLETED": 1}, 60)


def test_a_dask_worker_that_is_killed_costs_its_task_only(site, tmp_path, undisturbed):
    with dask_cluster(tmp_path, **site.environment) as cluster:
        worker = cluster.start_worker()
        run = Run(tmp_path / "run", "--task-runner", cluster.address, **site.environment)
        run.wait_for(run.is_in_training)
        worker.kill()
        cluster.start_worker()
        status, summary = run.end()
    assert status == 0, run.log.read_text()[-3000:]
    assert digests(summary) == undisturbed
    assert states(site) == {"COMPLETED": 1}
    assert summary["repeated"] == {"distill": 1}


def test_a_prefect_worker_that_is_killed_leaves_its_run_to_its_end(site, tmp_path, undisturbed):
    out = tmp_path / "nightly"
    parameters = json.dumps({"recipes": [str(RECIPE)], "out": str(out), "overrides": SMALL})
    site.prefect("work-pool", "create", "medkd", "--type", "process")
    site.prefect("deploy", "--prefect-file", "flows/prefect.yaml", "--name", "nightly-distill", "--params", parameters, "--no-prompt")
    worker = site.start("worker", "start", "--pool", "medkd", "--name", "tester")
    site.prefect("deployment", "run", "nightly-distill/nightly-distill")
    log = out / "stages" / "begun.log"
    site.wait_for(lambda: log.is_file() and "distill" in log.read_text(), 600)
    os.kill(worker.pid, signal.SIGKILL)
    site.wait_for(lambda: states(site)["COMPLETED"] == 1, 600)
    assert registered_in(out) == undisturbed
    assert not [line for line, count in Counter(log.read_text().splitlines()).items() if count > 1]


def registered_in(out):
    from medkd.registry.mlflow_registry import MlflowRegistry

    registry = MlflowRegistry(f"sqlite:///{out / 'mlflow.db'}", artifacts=out / "mlartifacts")
    return {name: registry.versions(name)[-1].manifest_digest for name in registry.names()}

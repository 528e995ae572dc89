"""The scheduled deployment, for real: a Prefect server, a process work pool, a worker, and a run that the schedule starts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pytest
import yaml

import flows
from flows.demo import OVERRIDES

ROOT = Path(flows.__file__).parents[1]
DEPLOYMENTS = ROOT / "flows" / "prefect.yaml"
#: That it is scheduled, runs and registers is asked here; what it learns elsewhere.
SMALLER = {
    "seeds": [0], "explain.cases": 2, "teacher.network.options.channels": [4, 4, 4, 4], "student.network.options.channels": [4, 4, 4, 4],
}  # fmt: skip
PREFECT = Path(sys.executable).with_name("prefect")

pytestmark = pytest.mark.xdist_group("demo")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """A Prefect server of its own, and the command line that talks to it."""

    def __init__(self, home: Path) -> None:
        self.home, port = home, free_port()
        self.url = f"http://127.0.0.1:{port}/api"
        self.environment = {
            **os.environ,
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_LOGGING_LEVEL": "INFO",
            "PYTHONPATH": str(ROOT),
            "MEDKD_WORKERS": "0",  # what worker processes do is tested elsewhere, and each takes seconds to start
        }
        self.processes: list[subprocess.Popen] = []
        self.start("server", "start", "--host", "127.0.0.1", "--port", str(port), without=("PREFECT_API_URL",))
        self.wait_for(lambda: self.get("/health") is True, 90)

    def start(self, *arguments, without=()):
        environment = {key: value for key, value in self.environment.items() if key not in without}
        log = (self.home / f"{arguments[0]}.log").open("w")
        self.processes.append(
            subprocess.Popen([PREFECT, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        )
        log.close()

    def prefect(self, *arguments):
        done = subprocess.run([PREFECT, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def post(self, path, payload):
        request = urllib.request.Request(self.url + path, json.dumps(payload).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def wait_for(self, condition, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.5)
        logs = "\n".join(path.read_text()[-3000:] for path in self.home.glob("*.log"))
        raise AssertionError(f"not within {seconds} s\n{logs}")

    def close(self):
        for process in reversed(self.processes):
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path)
    yield found
    found.close()


def test_every_schedule_has_a_timezone_and_a_slug_and_runs_do_not_overtake_each_other():
    deployments = yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]
    assert deployments
    for deployment in deployments:
        assert all({"cron", "timezone", "slug"} <= set(schedule) for schedule in deployment["schedules"])
        assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
        assert all((ROOT / name).is_file() for name in deployment["parameters"]["recipes"])


@pytest.mark.extended  # two minutes, most of them of Prefect's own processes
@pytest.mark.timeout(540)
def test_a_scheduled_run_really_happens_and_shows_in_prefect_and_mlflow(site, tmp_path):
    out = tmp_path / "nightly"
    parameters = {
        "recipes": ["flows/recipes/phantom-classification.yaml"],
        "out": str(out),
        "overrides": {**OVERRIDES["smoke"]["phantom-classification"], **SMALLER},
    }
    site.prefect("work-pool", "create", "medkd", "--type", "process")
    site.prefect("deploy", "--prefect-file", "flows/prefect.yaml", "--name", "nightly", "--params", json.dumps(parameters), "--no-prompt")
    deployment = site.get("/deployments/name/nightly/nightly")
    assert [schedule["schedule"]["timezone"] for schedule in deployment["schedules"]] == ["UTC"]
    # The shipped schedule comes at night; one that is due in seconds is put beside it, and again and again: on a busy machine the first
    # time may be over before the schedule is there. A run that comes while another goes on is cancelled.
    site.start("worker", "start", "--pool", "medkd", "--name", "tester")
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    every = {"schedule": {"interval": 15, "anchor_date": soon}, "active": True}
    site.post(f"/deployments/{deployment['id']}/schedules", [every])

    wanted = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}, "deployment_id": {"any_": [deployment["id"]]}}}
    done, *_ = site.wait_for(lambda: site.post("/flow_runs/filter", wanted), 360)
    assert done["state"]["type"] == "COMPLETED", (tmp_path / "worker.log").read_text()[-3000:]
    assert done["auto_scheduled"] is True
    assert done["work_pool_name"] == "medkd"
    # Prefect shows the parts of the run below it ...
    children = site.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [done["id"]]}}})
    assert {"pipeline"} <= {child["name"].rsplit("-", 1)[0] for child in children}
    # ... and MLflow its models.
    client = mlflow.MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    names = {model.name for model in client.search_registered_models()}
    assert "phantom-classification-teacher" in names
    assert len(names) == 4
    assert {run.info.status for e in client.search_experiments() for run in client.search_runs([e.experiment_id])} == {"FINISHED"}

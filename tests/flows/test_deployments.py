"""The deployments: what each says when there is nothing to do, and, for real, a server, a worker, and studies that arrive."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pytest
import yaml

from data_contracts import Worklist, load_record
from flows import deployments
from flows.demo import OVERRIDES
from tests.flows.prefect_site import ROOT, Site

DEPLOYMENTS = ROOT / "flows" / "prefect.yaml"
#: That it is scheduled, runs and registers is asked here; what it learns elsewhere.
SMALLER = {
    "seeds": [0], "explain.cases": 2, "teacher.network.options.channels": [4, 4, 4, 4], "student.network.options.channels": [4, 4, 4, 4],
}  # fmt: skip
MODEL = "models:/phantom-segmentation-teacher@champion"


def shipped():
    return yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]


def test_every_deployment_has_a_flow_of_its_name_a_schedule_with_a_timezone_and_runs_that_do_not_overtake_each_other():
    assert {one["name"] for one in shipped()} == {
        "ingest-watch", "run-champion", "nightly-distill", "explain-candidate", "weekly-review-sample", "reconcile", "gc", "drift", "return-results",
        "redistill",
    }  # fmt: skip
    for one in shipped():
        path, _, name = one["entrypoint"].partition(":")
        found = getattr(deployments, name)
        assert (path, found.name) == ("flows/deployments.py", one["name"])
        found.validate_parameters(one["parameters"])
        assert all({"cron", "timezone", "slug"} <= set(schedule) for schedule in one["schedules"])
        assert one["concurrency_limit"]["limit"] == 1
        assert all((ROOT / recipe).is_file() for recipe in one["parameters"].get("recipes", ()))


def test_with_nothing_to_do_each_says_so(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    monkeypatch.setenv("MEDKD_STUDIES", str(tmp_path / "in"))
    out, recipe = str(tmp_path / "site"), str(ROOT / "flows" / "recipes" / "phantom-segmentation.yaml")
    assert deployments.ingest_watch.fn(out=out).message == "nothing new"
    assert deployments.weekly_review_sample.fn(out=out).message == "nothing was reported this week"
    assert deployments.explain_candidate.fn(recipes=[recipe], out=out).message == "no candidate"
    assert deployments.gc.fn(out=out).message == "0 would go"
    assert deployments.redistill.fn(recipe=recipe, feedback=str(tmp_path / "log"), out=out).message == "no feedback"
    assert deployments.return_results.fn(out=out).message == "nothing to return"
    started = time.monotonic()
    assert deployments.drift.fn(models=[MODEL], out=out).message == "nothing was reported yet"
    assert time.monotonic() - started < 3


@pytest.fixture
def site(tmp_path):
    started = []

    def start(**environment):
        started.append(Site(tmp_path, **environment))
        return started[-1]

    yield start
    for one in started:
        one.close()


def finished(site, name, *, since=0):
    """Return the finished runs of a deployment, the oldest first."""
    deployment = site.get(f"/deployments/name/{name}/{name}")
    wanted = {
        "flow_runs": {
            "deployment_id": {"any_": [deployment["id"]]},
            "state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}},
        },
        "sort": "START_TIME_ASC",
    }
    return site.post("/flow_runs/filter", wanted)[since:]


def soon(site, name, every=15):
    """Put a schedule that is due in seconds beside the shipped one, and again and again: on a busy machine the first time may be over at once."""
    deployment = site.get(f"/deployments/name/{name}/{name}")
    anchor = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    site.post(f"/deployments/{deployment['id']}/schedules", [{"schedule": {"interval": every, "anchor_date": anchor}, "active": True}])
    return deployment


@pytest.mark.extended
@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(900)
def test_a_study_that_arrives_ends_on_the_worklist_without_a_hand_and_once(site, smoke, tmp_path, medkd):
    inbox, out = tmp_path / "inbox", tmp_path / "site"
    inbox.mkdir()
    registry = mlflow.MlflowClient(smoke.summary["tracking_uri"])
    registry.set_registered_model_alias("phantom-segmentation-teacher", "champion", "1")
    own = site(MEDKD_STUDIES=str(inbox), MEDKD_SECRET="of the tests")
    yaml_of_test = tmp_path / "prefect.yaml"
    text = yaml.safe_load(DEPLOYMENTS.read_text())
    for one in text["deployments"]:
        one["parameters"]["out"] = str(out)
        one["schedules"] = []
        if one["name"] == "ingest-watch":
            one["parameters"]["settle_s"] = 5
        if one["name"] == "run-champion":
            one["parameters"] |= {"models": [MODEL], "tracking_uri": smoke.summary["tracking_uri"]}
    yaml_of_test.write_text(yaml.safe_dump(text))
    done = medkd("deploy", "--file", str(yaml_of_test), cwd=ROOT, **own.environment)
    assert done.returncode == 0, done.stderr + done.stdout
    own.start("worker", "start", "--pool", "medkd", "--name", "tester")
    shutil.copytree(smoke.folder / "dicom" / "study001", inbox / "study001")
    soon(own, "ingest-watch", every=20)

    def listed():
        path = out / "worklist" / "worklist.json"
        return load_record(path, Worklist).entries if path.is_file() else ()

    (entry,) = own.wait_for(listed, 300)
    assert entry.outcome == "reported"
    assert (out / "worklist" / entry.page).is_file()
    # The same study again, under another name: it is looked at, and nothing is done twice.
    shutil.copytree(smoke.folder / "dicom" / "study001", inbox / "once more")
    seen = len(finished(own, "ingest-watch"))
    own.wait_for(
        lambda: any("1 entries, 0 new series" in (run["state"]["message"] or "") for run in finished(own, "ingest-watch", since=seen - 1)),
        200,
    )
    own.wait_for(lambda: any(run["state"]["message"] == "nothing new" for run in finished(own, "ingest-watch", since=seen)), 200)
    assert len(listed()) == 1
    assert {run["state"]["type"] for name in ("ingest-watch", "run-champion") for run in finished(own, name)} == {"COMPLETED"}
    said = medkd("status", "--json", cwd=ROOT, **own.environment)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout.splitlines()[-1])["counts"]["Completed"] >= 4
    # Each of the others fires once too and says what it found.
    for name, expected in (
        ("weekly-review-sample", "1 reports in"), ("reconcile", "0 flow runs crashed"), ("gc", "would go"), ("explain-candidate", "no candidate"),
    ):  # fmt: skip
        own.prefect("deployment", "run", f"{name}/{name}")
        (run,) = own.wait_for(lambda name=name: finished(own, name), 120)
        assert (run["state"]["type"], expected in run["state"]["message"]) == ("COMPLETED", True), run["state"]
    assert list((out / "review").glob("*/index.html"))


@pytest.mark.extended  # two minutes, most of them of Prefect's own processes
@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(900)
def test_a_scheduled_night_really_happens_shows_in_prefect_and_mlflow_and_is_begun_again_when_it_is_killed(site, tmp_path, medkd):
    own, out = site(), tmp_path / "nightly"
    parameters = {
        "recipes": ["flows/recipes/phantom-classification.yaml"],
        "out": str(out),
        "overrides": {**OVERRIDES["smoke"]["phantom-classification"], **SMALLER},
    }
    own.prefect("work-pool", "create", "medkd", "--type", "process")
    own.prefect(
        "deploy", "--prefect-file", "flows/prefect.yaml", "--name", "nightly-distill", "--params", json.dumps(parameters), "--no-prompt"
    )
    reconciling = json.dumps({"out": str(out)})
    own.prefect("deploy", "--prefect-file", "flows/prefect.yaml", "--name", "reconcile", "--params", reconciling, "--no-prompt")
    own.start("worker", "start", "--pool", "medkd", "--name", "tester")
    own.prefect("deployment", "run", "nightly-distill/nightly-distill")
    process = own.wait_for(lambda: training_process(out), 200)
    os.kill(process, signal.SIGKILL)
    own.prefect("deployment", "run", "reconcile/reconcile")
    done = own.wait_for(lambda: [one for one in finished(own, "nightly-distill") if one["state"]["type"] == "COMPLETED"], 400)[0]
    assert {one["state"]["type"] for one in finished(own, "nightly-distill")} == {"COMPLETED", "CRASHED"}
    assert done["work_pool_name"] == "medkd"
    names = {model.name for model in mlflow.MlflowClient(f"sqlite:///{out / 'mlflow.db'}").search_registered_models()}
    assert len(names) == 4
    client = mlflow.MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    assert "RUNNING" not in {run.info.status for e in client.search_experiments() for run in client.search_runs([e.experiment_id])}
    # Without news the next one says so.
    own.prefect("deployment", "run", "nightly-distill/nightly-distill")
    own.wait_for(lambda: any(run["state"]["message"] == "nothing changed" for run in finished(own, "nightly-distill")), 120)


def training_process(out: Path) -> int | None:
    """Return the process that works in a run's folder, once a training has begun there."""
    started = out / "stages" / "begun.log"
    if not started.is_file() or len(started.read_text().splitlines()) < 2:
        return None
    lock = out / ".medkd-lock"
    return int(json.loads(lock.read_text())["pid"]) if lock.is_file() and lock.read_text() else None

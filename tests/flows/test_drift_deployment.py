"""The deployment of drift, for real: a server, a worker, a site whose worklist a registered model has read, and somebody who is told."""

from __future__ import annotations

import shutil

import pytest
import yaml

from medkd.drift.reference import attach_reference, make_reference
from tests.drift.drift_site import drift_site
from tests.flows.prefect_site import ROOT, Site
from tests.flows.test_deployments import DEPLOYMENTS, finished
from tests.flows.test_notify import noting_server


@pytest.fixture
def hook():
    with noting_server() as (port, got):
        yield f"http://127.0.0.1:{port}/hook", got


def attach_brighter_reference(one):
    """Put a reference of twelve patients beside the model whose images are so much brighter that three studies of the worklist tell."""
    model, made = make_reference(one.registry, one.uri, one.store)
    moved = [
        p.model_copy(update={"images": {name: value + 9 for name, value in p.images.items() if value is not None}}) for p in made.studies
    ]
    attach_reference(
        one.registry,
        model,
        made.model_copy(update={"studies": tuple(moved * 4), "patients": tuple(range(12)), "performance": (None,) * 12}),
    )


@pytest.mark.extended
@pytest.mark.xdist_group("drift")
@pytest.mark.timeout(900)
def test_a_window_is_compared_by_the_deployment_shown_told_and_not_again(hook, tmp_path, medkd):
    one, (url, got) = drift_site(), hook
    attach_brighter_reference(one)
    out = tmp_path / "site"
    shutil.copytree(one.site.root, out)
    (shipped,) = [each for each in yaml.safe_load(DEPLOYMENTS.read_text())["deployments"] if each["name"] == "drift"]
    shipped["parameters"] = {
        "models": [one.uri], "out": str(out), "tracking_uri": one.workspace.tracking_uri, "alarm_rate": 0.5, "window_studies": 3,
    }  # fmt: skip
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump({"name": "medkd", "deployments": [{**shipped, "schedules": []}]}))
    own = Site(tmp_path, MEDKD_NOTIFY_URL=url)
    try:
        done = medkd("deploy", "--file", str(tmp_path / "prefect.yaml"), cwd=ROOT, **own.environment)
        assert done.returncode == 0, done.stderr + done.stdout
        own.start("worker", "start", "--pool", "medkd", "--name", "tester")
        for seen, expected in enumerate(("window 1 (3 studies of ", "too few studies: 0 of 3; before: window 1")):
            own.prefect("deployment", "run", "drift/drift")
            (run,) = own.wait_for(lambda seen=seen: finished(own, "drift", since=seen), 200)
            assert (run["state"]["type"], run["state"]["message"].startswith(expected)) == ("COMPLETED", True), run["state"]
        shown = {each["key"]: each["type"] for each in own.post("/artifacts/filter", {"limit": 200})}
    finally:
        own.close()
    assert (out / "drift" / "tiny-teacher-1" / "drift.png").is_file()
    assert {"drift-tiny-teacher-1": "markdown", "drift-windows-tiny-teacher-1": "table"}.items() <= shown.items()
    (said,) = got
    assert (said["flow"], said["model"]) == ("drift", one.uri)
    assert "the images moved first" in said["message"]

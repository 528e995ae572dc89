"""The smoke chain wherever its tasks run, and whatever the machines share: the same digests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from dask_cluster import dask_cluster
from live_server import live_server
from postgres_server import postgres_server
from s3_server import SECRET, s3_server

from tests.flows.prefect_site import Site

pytestmark = [pytest.mark.extended, pytest.mark.xdist_group("demo"), pytest.mark.timeout(1200)]
ROOT = str(Path(__file__).parents[2])
#: Notes what any process of a worker opens, lists or makes below the folder of the machine that started the run.
HOOK = """
import os, sys
_log, _forbidden = os.environ.get("MEDKD_TEST_OPEN_LOG"), os.environ.get("MEDKD_TEST_FORBIDDEN")
if _log and _forbidden:
    def _note(event, arguments):
        if event in ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename") and str(arguments[0]).startswith(_forbidden):
            os.write(os.open(_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), f"{event} {arguments[0]}\\n".encode())
    sys.addaudithook(_note)
"""


def digests(summary):
    return {(one["name"], one["version"]): one["digest"] for one in summary["models"]}


@pytest.mark.parametrize("runner", ["threads", "processes", "dask"])
def test_the_chain_gives_the_same_digests_in_every_mode(smoke, medkd, tmp_path, runner):
    own = {"MEDKD_WORKERS": "2", "PYTHONPATH": ROOT, "XDG_CACHE_HOME": str(smoke.cache), "MEDKD_ENGINE": "prefect"}
    done = medkd("demo", "--size", "smoke", "--task-runner", runner, "--json", cwd=tmp_path, **own)
    assert done.returncode == 0, done.stderr[-3000:]
    assert digests(json.loads(done.stdout.splitlines()[-1])) == digests(smoke.summary)


def test_the_chain_gives_the_same_digests_without_prefect(smoke, medkd, tmp_path):
    done = medkd("demo", "--size", "smoke", "--engine", "none", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert digests(json.loads(done.stdout.splitlines()[-1])) == digests(smoke.summary)


@pytest.fixture
def servers(tmp_path):
    """Yield the environment of three machines' users: Prefect on PostgreSQL, MLflow with its artefacts in a bucket, and that bucket."""
    with s3_server("site") as (client, environment), postgres_server("prefect") as postgres:
        database = postgres.new_database("prefect").replace("postgresql://", "postgresql+asyncpg://")
        with live_server(tmp_path / "mlflow", "--artifacts", "s3://site/mlflow", **environment) as mlflow:
            (tmp_path / "prefect").mkdir()
            prefect = Site(tmp_path / "prefect", PREFECT_API_DATABASE_CONNECTION_URL=database, PGPASSFILE=str(postgres.passfile))
            try:
                user, password = mlflow.admin
                own = {"PREFECT_API_URL": prefect.url, "MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}
                yield (
                    mlflow.url,
                    client,
                    {**environment, **own, "MEDKD_STORE": "s3://site/runs", "MEDKD_SECRET": "demo", "MEDKD_ENGINE": "prefect"},
                )
            finally:
                prefect.close()


def machine(folder, forbidden):
    """Return the environment of a worker that has a folder and a cache of its own, and notes what it opens of another machine's."""
    (folder / "hook").mkdir(parents=True)
    (folder / "hook" / "sitecustomize.py").write_text(HOOK)
    return {
        "MEDKD_WORK": str(folder / "work"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PYTHONPATH": f"{folder / 'hook'}{os.pathsep}{ROOT}",
        "MEDKD_TEST_OPEN_LOG": str(folder / "opened.log"),
        "MEDKD_TEST_FORBIDDEN": str(forbidden),
    }


def test_machines_that_share_nothing_but_a_bucket_give_the_same_digests(smoke, medkd, tmp_path, servers):
    tracking, client, environment = servers
    driver = tmp_path / "driver"
    driver.mkdir()
    machines = [machine(tmp_path / f"machine{number}", driver) for number in range(2)]
    with dask_cluster(tmp_path, *machines, **environment) as cluster:
        command = ("demo", "--size", "smoke", "--task-runner", cluster.address, "--tracking-uri", tracking, "--json")
        own = {"XDG_CACHE_HOME": str(driver / "cache"), "PYTHONPATH": ROOT}
        done = medkd(*command, cwd=driver, **environment, **own)
    log = (tmp_path / "dask.log").read_text()
    assert done.returncode == 0, (done.stderr[-3000:], log[-3000:])
    summary = json.loads(done.stdout.splitlines()[-1])
    assert digests(summary) == digests(smoke.summary)
    assert summary["repeated"] == {}
    for one in machines:
        assert list(Path(one["MEDKD_WORK"]).glob("*/stages/begun.log")), "both machines worked"
        opened = Path(one["MEDKD_TEST_OPEN_LOG"])
        assert not opened.exists(), opened.read_text()[:3000]
    # The reports came home; what lies in the bucket names no folder of any machine, and nothing holds the key of the bucket.
    assert all((driver / page).is_file() for page in summary["reports"])
    keys = [one["Key"] for page in client.get_paginator("list_objects_v2").paginate(Bucket="site") for one in page["Contents"]]
    assert any(key.startswith("mlflow/") for key in keys)
    for key in keys:
        payload = client.get_object(Bucket="site", Key=key)["Body"].read()
        assert str(tmp_path).encode() not in payload, key
        assert SECRET.encode() not in payload, key
    assert SECRET not in done.stdout + done.stderr + log

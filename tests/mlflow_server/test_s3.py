"""Artefacts in a bucket: served through the server, backed up, restored into an empty prefix. The store is moto's, over HTTP."""

from __future__ import annotations

import pytest
from live_server import ALICE, API, ARTIFACTS, BOB, live_server, register_as_alice
from s3_server import s3_server

from mlflow_server.backup import back_up, restore
from mlflow_server.drill import drill
from mlflow_server.errors import ServerError
from mlflow_server.settings import read_settings

pytestmark = [pytest.mark.extended, pytest.mark.xdist_group("mlflow_s3"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def bucket():
    """Yield a client of a store with an empty bucket; the environment names both, as an administrator's would."""
    with s3_server("models") as (client, environment), pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield client


@pytest.fixture(scope="module")
def live(bucket, tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("server") / "own", "--artifacts", "s3://models/hearts") as server:
        yield server


@pytest.fixture(scope="module")
def registered(live):
    return register_as_alice(live)


def keys(client):
    return {item["Key"] for item in client.list_objects_v2(Bucket="models").get("Contents", ())}


def test_artefacts_lie_in_the_bucket_and_are_read_through_the_server(live, registered, bucket):
    assert f"hearts/{registered.path}/model/weights.bin" in keys(bucket)
    assert live.call("GET", f"{ARTIFACTS}/{registered.path}/note.txt", user=ALICE) == (200, b"a note")
    assert live.call("GET", f"{ARTIFACTS}/{registered.path}/note.txt", user=BOB)[0] == 403


def test_nobody_reads_the_bucket_by_the_servers_key(live, registered):
    """MLflow itself would hand out any object that its own key can read."""
    live.ask("POST", f"{API}/registered-models/create", {"name": "bobs"}, user=BOB)
    for source in (
        f"s3://models/hearts/{registered.path}",
        f" s3://models/hearts/{registered.path}",
        f"S3://models/hearts/{registered.path}",
    ):
        assert live.call("POST", f"{API}/model-versions/create", {"name": "bobs", "source": source}, user=BOB)[0] == 400


def test_a_backup_is_restored_into_an_empty_prefix_only(live, registered, bucket, tmp_path):
    back_up(read_settings(live.folder), tmp_path / "backup")
    with pytest.raises(ServerError, match="s3://models/hearts/") as refused:
        restore(tmp_path / "backup", tmp_path / "over")
    assert refused.value.code == "TARGET_NOT_EMPTY"
    restore(tmp_path / "backup", tmp_path / "again", artifact_location="s3://models/again")
    found = keys(bucket)
    assert {key.removeprefix("again/") for key in found if key.startswith("again/")} == {
        key.removeprefix("hearts/") for key in found if key.startswith("hearts/")
    }
    content = bucket.get_object(Bucket="models", Key=f"again/{registered.path}/model/weights.bin")["Body"].read()
    assert content == b"weights"


def test_a_drill_restores_a_bucket_into_a_folder(live, registered):
    found = drill(read_settings(live.folder))
    assert (found["versions"], found["files"]) == (2, 3)

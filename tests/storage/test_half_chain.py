"""A chain whose halves are done by processes that share nothing but a bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from s3_server import SECRET, s3_server

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.extended, pytest.mark.timeout(300)]


def half_chain(half, folder, **environment):
    folder.mkdir()
    return subprocess.run(
        [sys.executable, "-m", "tests.storage.half_chain", half, str(folder / "run")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache"), **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )


def answer_of(done):
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_second_half_goes_on_where_the_first_ended(tmp_path):
    with s3_server("chain") as (client, environment):
        shared = {**environment, "MEDKD_STORE": "s3://chain/runs/one"}
        first = answer_of(half_chain("first", tmp_path / "first", **shared))
        second = answer_of(half_chain("second", tmp_path / "second", **shared))
        alone = answer_of(half_chain("second", tmp_path / "alone"))
        objects = [one["Key"] for one in client.list_objects_v2(Bucket="chain")["Contents"]]
        for key in objects:
            if "/stages/distill" in key or "/stages/judge" in key:
                client.delete_object(Bucket="chain", Key=key)
        flip(client, f"runs/one/objects/{first['teacher'][:2]}/{first['teacher']}")
        third = half_chain("second", tmp_path / "third", **shared)
        kept = [one["Key"] for one in client.list_objects_v2(Bucket="chain")["Contents"]]
        written = [client.get_object(Bucket="chain", Key=key)["Body"].read() for key in kept]
    assert first["ran"] == {"prepare_cohorts": 1, "train_teacher": 1}
    assert second["ran"] == {"judge_teacher": 1, "distill": 1}
    assert {**second, "ran": None} == {**alone, "ran": None}
    assert third.returncode == 1, (third.stdout, third.stderr)
    assert f"{first['teacher']} as it was written, its bytes have the sha256" in third.stderr.splitlines()[-1]
    hidden = (SECRET.encode(), str(tmp_path).encode())
    left = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [payload for payload in written if any(one in payload for one in hidden)]
    assert not [payload for payload in left if SECRET.encode() in payload]
    assert SECRET not in third.stderr


def flip(client, key):
    payload = bytearray(client.get_object(Bucket="chain", Key=key)["Body"].read())
    payload[-1] ^= 1
    client.put_object(Bucket="chain", Key=key, Body=bytes(payload))


def test_a_store_that_is_down_is_one_sentence(tmp_path):
    done = half_chain("first", tmp_path / "first", MEDKD_STORE="s3://chain/x", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY=SECRET)  # fmt: skip
    assert "the store cannot be reached (network connection)" in done.stderr.splitlines()[-1]
    assert SECRET not in done.stderr

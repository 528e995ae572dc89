"""A store that speaks S3, as moto has one, started in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import pytest
from live_server import free_port

SECRET = "a-secret-key-of-nobody"


@contextlib.contextmanager
def s3_server(bucket):
    """Yield a client of a store with an empty bucket, and the environment of whoever uses it."""
    pytest.importorskip("moto")
    boto3 = pytest.importorskip("boto3")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "AWS_ENDPOINT_URL": url,
        "MLFLOW_S3_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        client = boto3.client("s3", endpoint_url=url, aws_access_key_id="testing", aws_secret_access_key=SECRET, region_name="us-east-1")
        deadline = time.monotonic() + 60
        while True:
            try:
                client.create_bucket(Bucket=bucket)
                break
            except Exception:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield client, environment
    finally:
        process.terminate()
        process.wait(timeout=20)

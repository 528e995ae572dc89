"""A version in an environment that has what its requirements name and nothing else; and answering over HTTP."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from pathlib import Path

import numpy as np
import pytest

from medkd.registry.load_version import load_registered
from medkd.registry.publish import open_registry
from medkd.storage.workspace import local_workspace

pytestmark = [pytest.mark.extended, pytest.mark.timeout(900)]
ASK = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow, numpy as np, pandas as pd
run, study, out = sys.argv[1:]
mlflow.set_tracking_uri(f"sqlite:///{run}/mlflow.db")
model = mlflow.pyfunc.load_model("models:/cut-teacher@champion")
image = np.random.default_rng(0).normal(size=(2, 1, 64, 64)).astype(np.float32)
answer = model.predict({"image": image})
table = model.predict(pd.DataFrame({"dicom": [study]}), params={"out": out})
print(json.dumps({"logits": answer["logits"].tolist(), "map": answer["class_map"].tolist(), "labels": answer["labels"].tolist(),
  "classes": table["class_name"].tolist(), "seg": table["seg_path"].tolist()}))
"""


def test_a_version_runs_where_neither_torch_nor_monai_is_installed(served_run, study_zip, tmp_path):
    import torch

    from medkd.inference.predict import predict_logits

    registry = open_registry(local_workspace(served_run))
    registry.set_alias("cut-teacher", "champion", 1)
    requirements = next((served_run / "mlartifacts").rglob("requirements.txt"))
    clean = tmp_path / "clean"
    venv.create(clean, with_pip=True)
    python = clean / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True, timeout=600)
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True).stdout
    assert not {"torch", "monai", "medkd", "prefect"} & {one["name"] for one in json.loads(listed)}
    environment = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    done = subprocess.run(
        [python, "-c", ASK, served_run, study_zip, tmp_path], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    network = load_registered(registry, "models:/cut-teacher/1")[2]
    image = np.random.default_rng(0).normal(size=(2, 1, 64, 64)).astype(np.float32)
    wanted = predict_logits(network, torch.from_numpy(image)).numpy()
    assert np.abs(np.array(answer["logits"]) - wanted).max() <= 1e-4
    assert np.array_equal(np.array(answer["labels"]), wanted.argmax(1))
    bias = network.head.bias.detach().numpy()[:, None, None]
    assert np.abs(np.array(answer["map"]) - (wanted - bias)).max() <= 1e-4
    assert set(answer["classes"]) == {"lesion"}
    assert all(Path(path).is_file() for path in answer["seg"])


def test_a_version_is_served_over_http(served_run, study_zip, tmp_path):
    open_registry(local_workspace(served_run)).set_alias("cut-teacher", "champion", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    binaries = Path(sys.executable).parent
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{served_run / 'mlflow.db'}",
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",  # MLflow starts uvicorn by its name
        "PYTHONPATH": "",
    }
    command = [binaries / "mlflow", "models", "serve", "-m", "models:/cut-teacher@champion", "--env-manager", "local", "-p", str(port)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while not answers(f"{address}/ping"):
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.5)
        text = base64.b64encode(Path(study_zip).read_bytes()).decode()
        asked = {"dataframe_records": [{"dicom": text}], "params": {"inline": True}}
        rows = post(f"{address}/invocations", asked)["predictions"]
        assert {row["class_name"] for row in rows} == {"lesion"}
        assert base64.b64decode(rows[0]["seg_base64"])[128:132] == b"DICM"
        image = np.zeros((1, 64, 64)).tolist()
        answer = post(f"{address}/invocations", {"dataframe_records": [{"image": image}]})["predictions"]
        assert np.array(answer["logits"]).shape == (1, 2, 64, 64)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


def post(address, payload):
    request = urllib.request.Request(address, json.dumps(payload).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.loads(response.read())

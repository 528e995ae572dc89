"""`medkd export` writes a form, says how far it is from the network and what to do with it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from data_contracts import MedkdError, NetworkSpec, Task
from data_contracts.compression import FormKind
from flows.commands import app
from tests.registered import register_tiny

TASK = Task(kind="segmentation", classes=("background", "lesion"), image_size=(16, 16))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    register_tiny(folder, TASK, NetworkSpec(builder="unet", options={"channels": (4, 8)}))
    return folder


def said(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_a_form_is_written_and_what_to_do_with_it_is_said(run, tmp_path):
    done = said("models:/tiny-teacher/1", "--to", "openvino", "--run", run, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "forms/openvino of models:/tiny-teacher/1" in done.output
    assert "--runtime openvino" in done.output
    assert (tmp_path / "out" / "model.xml").is_file()
    again = said("models:/tiny-teacher/1", "--to", "openvino", "--run", run, "--out", tmp_path / "out")
    assert "(was there before)" in again.output


def test_for_machines_it_is_one_line_of_json(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = said("models:/tiny-teacher/1", "--to", "bundle", "--run", run, "--json")
    payload = json.loads(done.output.splitlines()[-1])
    assert payload["ok"] is True
    assert payload["kind"] == FormKind.BUNDLE.value
    assert payload["folder"] == str(tmp_path / "exports" / "tiny-teacher-1-bundle")
    assert "monai.bundle" in payload["next"]
    assert payload["logits_difference"] <= 1e-4


@pytest.mark.parametrize(
    ("uri", "code"), [("models:/tiny-teacher/7", "VERSION_UNKNOWN"), ("tiny", "MODEL_URI"), ("models:/../x/1", "MODEL_URI")]
)
def test_a_version_that_is_not_there_is_refused(run, uri, code, tmp_path):
    done = said(uri, "--to", "onnx", "--run", run, "--out", tmp_path / "out")
    assert isinstance(done.exception, MedkdError)
    assert done.exception.code in (code, "VERSION_UNKNOWN")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_somebody_and_a_format_that_nobody_knows_are_refused(run, tmp_path):
    (tmp_path / "theirs.txt").write_text("x")
    done = said("models:/tiny-teacher/1", "--to", "onnx", "--run", run, "--out", tmp_path)
    assert done.exception.code == "OUT_FOREIGN"
    assert said("models:/tiny-teacher/1", "--to", "tensorrt", "--run", run).exit_code == 2

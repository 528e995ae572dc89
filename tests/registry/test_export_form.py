"""A registered network leaves as ONNX, OpenVINO and MONAI Bundle, each compared with it and put below its version once."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from data_contracts import CompressionError, MissingDependencyError, NetworkSpec, RegistryError, Task
from data_contracts.compression import FormKind
from medkd.registry import export_form as exporting
from medkd.registry.export_form import export_form
from medkd.registry.exported_forms import fetch_form, form_digests
from medkd.registry.load_version import load_registered
from medkd.registry.version_files import open_registry
from medkd.serving.network import OnnxNetwork
from medkd.serving.openvino_network import OpenVinoNetwork
from medkd.storage.workspace import local_workspace
from tests.registered import register_tiny

SEGMENTS = Task(kind="segmentation", classes=("background", "lesion"), image_size=(16, 16, 16), test_time_flips=(0,))
CLASSIFIES = Task(kind="classification", classes=("no", "yes"), image_size=(32, 32))
FILES = {
    FormKind.ONNX: {"model.onnx", "README.md", "requirements.txt"},
    FormKind.OPENVINO: {"model.xml", "model.bin", "README.md", "requirements.txt"},
    FormKind.BUNDLE: {"configs/metadata.json", "configs/inference.json", "models/model.ts", "docs/README.md", "LICENSE"},
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    register_tiny(folder, SEGMENTS, NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 8)}), name="cut")
    register_tiny(folder, CLASSIFIES, NetworkSpec(builder="resnet", options={"channels": (4, 4, 4, 4)}), name="sort")
    return open_registry(local_workspace(folder))


@pytest.mark.parametrize("kind", list(FormKind))
@pytest.mark.parametrize("name", ["cut", "sort"])
def test_a_form_is_written_compared_and_put_below_its_version(registry, kind, name, tmp_path):
    uri = f"models:/{name}-teacher/1"
    done = export_form(registry, uri, kind, tmp_path / "out")
    own = FILES[kind] | ({"models/class_map.ts"} if kind is FormKind.BUNDLE and name == "sort" else set())
    assert set(done.form.files) == own
    assert done.attached
    assert done.form.logits_difference <= 1e-4
    assert done.form.map_difference is not None
    assert done.form.map_difference <= 1e-4
    assert done.form.compared >= 4
    assert done.form.source.uri == uri
    found, folder = fetch_form(registry, uri, kind.value)
    assert found == done.form
    assert all(hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest for file, digest in found.files.items())
    assert kind.value in form_digests(registry, registry.fetch(uri)[0])
    again = export_form(registry, uri, kind, tmp_path / "again")
    assert not again.attached
    assert again.form.files == done.form.files


@pytest.mark.parametrize("kind", [FormKind.ONNX, FormKind.OPENVINO])
def test_what_was_exported_answers_as_the_registered_network(registry, kind, tmp_path):
    folder = export_form(registry, "models:/cut-teacher/1", kind, tmp_path).folder
    network = load_registered(registry, "models:/cut-teacher/1")[2]
    image = np.random.default_rng(3).normal(size=(1, 1, 16, 16, 16)).astype(np.float32)
    asked = OnnxNetwork(folder / "model.onnx", SEGMENTS) if kind is FormKind.ONNX else OpenVinoNetwork(folder / "model.xml", SEGMENTS)
    with torch.no_grad():
        assert np.abs(asked.ask(image)[0] - network(torch.from_numpy(image)).numpy()).max() <= 1e-4


def test_the_requirements_name_what_a_study_is_asked_by_and_no_torch(registry, tmp_path):
    folder = export_form(registry, "models:/cut-teacher/1", FormKind.OPENVINO, tmp_path).folder
    names = {line.split("==")[0].lower() for line in (folder / "requirements.txt").read_text().splitlines()}
    assert {"openvino", "typer", "pydicom", "mlflow", "scikit-image"} <= names
    assert not {"torch", "monai", "prefect"} & names


def test_a_form_that_differs_is_neither_attached_nor_recorded(registry, tmp_path, monkeypatch):
    before = form_digests(registry, registry.fetch("models:/sort-teacher/1")[0])
    monkeypatch.setattr(exporting, "DRAWN", 2)
    monkeypatch.setattr(exporting.OnnxNetwork, "predict", lambda self, images: [part + 1 for part in self.ask(images)])
    with pytest.raises(RegistryError) as caught:
        export_form(registry, "models:/sort-teacher/1", FormKind.ONNX, tmp_path)
    assert caught.value.code == "FORM_DIFFERS"
    assert form_digests(registry, registry.fetch("models:/sort-teacher/1")[0]) == before
    assert not list(tmp_path.iterdir())


def test_knowledge_is_no_network(registry, tmp_path, monkeypatch):
    model = registry.fetch("models:/cut-teacher/1")[0].model_copy(update={"role": exporting.Role.KNOWLEDGE})
    monkeypatch.setattr(exporting, "resolve", lambda *_: model)
    with pytest.raises(CompressionError, match="teacher said") as caught:
        export_form(registry, "models:/cut-teacher/1", FormKind.ONNX, tmp_path)
    assert caught.value.code == "FORM_NOT_EXPORTED"


def test_without_openvino_it_is_said_what_to_install(registry, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(MissingDependencyError) as caught:
        export_form(registry, "models:/cut-teacher/1", FormKind.OPENVINO, tmp_path)
    assert caught.value.code == "OPENVINO_MISSING"

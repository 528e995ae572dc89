"""A registered version is opened without torch, an exported form before its own, and its explanation lies beside it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy

from data_contracts import (
    CompressionError,
    DataError,
    DicomData,
    ExplanationRequest,
    NetworkSpec,
    Role,
    SeriesRecord,
    StoreManifest,
    Task,
    TrainingDomain,
)
from data_contracts.compression import FormKind
from medkd.explanation.kept import read_kept
from medkd.explanation.served_registered import depth_of_weights, explain_served_registered, open_served
from medkd.measures.transparency import depth_of
from medkd.registry.export_form import export_form
from medkd.registry.load_version import load_registered
from medkd.registry.version_files import open_registry
from medkd.storage.sealed import write_sealed
from medkd.storage.workspace import local_workspace
from tests.explanation.studies import bright_volume
from tests.registered import register_tiny

TASK = Task(kind="segmentation", classes=("background", "bright"), image_size=(16, 16, 16), window=(0.0, 1.0))
NETWORK = NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 8)})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run's workspace with a version that may be asked, and one that may be asked of MR only."""
    folder = tmp_path_factory.mktemp("run")
    data = DicomData(path="s", channels={"late": {"words": ["with contrast"]}})
    register_tiny(folder, TASK, NETWORK)
    register_tiny(folder, TASK.model_copy(update={"channels": ("late",)}), NETWORK, name="late", data=data)
    register_tiny(folder, TASK, NETWORK, name="other", domain=TrainingDomain(modalities=("MR",), outside="refuse"))
    return local_workspace(folder)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_version_is_asked_and_its_explanation_lies_beside_it(run, runtime, tmp_path):
    _, volume = bright_volume(tmp_path / "store", [np.s_[4:9, 4:9, 4:9]])
    place = explain_served_registered(
        run, (volume,), tmp_path / "store", "models:/tiny-teacher/1", ExplanationRequest(explainers=()), tmp_path, runtime
    )
    record, arrays = read_kept(place)
    assert place.parent == tmp_path / "explanations"
    assert "segmentation/student" in arrays
    registry = open_registry(run)
    assert f"medkd.explanation.{place.name}" in registry.tags(record.model)


def test_an_exported_form_is_asked_where_there_is_one(run, tmp_path, monkeypatch):
    registry = open_registry(run)
    export_form(registry, "models:/tiny-teacher/1", FormKind.OPENVINO, tmp_path)
    opened = []
    monkeypatch.setattr("medkd.explanation.served_registered.open_runtime", lambda *_, form: opened.append(form))
    open_served(registry, "models:/tiny-teacher/1", "openvino")
    assert (opened[0] / "model.xml").read_bytes() == (tmp_path / "model.xml").read_bytes()
    open_served(registry, "models:/tiny-teacher/1", "onnx")
    assert opened[1] is None


def test_what_the_card_forbids_is_refused(run, tmp_path):
    _, volume = bright_volume(tmp_path / "store", [])
    with pytest.raises(DataError) as caught:
        explain_served_registered(
            run, (volume,), tmp_path / "store", "models:/other-teacher/1", ExplanationRequest(explainers=()), tmp_path, "onnx"
        )
    assert caught.value.code == "MODALITY_FORBIDDEN"


def test_another_series_than_the_card_names_is_asked_about_and_said(run, tmp_path):
    _, volume = bright_volume(tmp_path / "store", [])
    keys = {name: getattr(volume, name) for name in ("patient_key", "study_key", "series_key", "frame_of_reference_key", "modality")}
    known = StoreManifest(volumes=(volume,), series=(SeriesRecord(slices=20, acquisition="T1", **keys),))
    write_sealed(known, tmp_path / "store" / "manifest.json")
    asked = (run, (volume,), tmp_path / "store", "models:/late-teacher/1", ExplanationRequest(explainers=()), tmp_path, "onnx")
    record, _ = read_kept(explain_served_registered(*asked))
    (said,) = [one.text for one in record.caveats if one.code == "SERIES_OTHER"]
    assert said.startswith("the model is for with contrast as late")


def test_knowledge_is_no_network(run, monkeypatch):
    registry = open_registry(run)
    model, folder = registry.fetch("models:/tiny-teacher/1")
    monkeypatch.setattr(registry, "fetch", lambda _: (model.model_copy(update={"role": Role.KNOWLEDGE}), folder))
    with pytest.raises(CompressionError) as caught:
        open_served(registry, model.uri, "onnx")
    assert caught.value.code == "FORM_UNKNOWN"


def test_the_depth_of_weights_is_that_of_their_network(run, tmp_path):
    registry = open_registry(run)
    network = load_registered(registry, "models:/tiny-teacher/1")[2]
    assert depth_of_weights(registry.fetch("models:/tiny-teacher/1")[1] / "weights.safetensors") == depth_of(network) > 2
    (tmp_path / "w").write_bytes(
        safetensors.numpy.save({"a.weight": np.zeros((2, 2)), "b.weight": np.zeros(2), "c.bias": np.zeros((2, 2))})
    )
    assert depth_of_weights(tmp_path / "w") == 1
    assert json.loads((tmp_path / "w").read_bytes()[8:].split(b"}}")[0] + b"}}")

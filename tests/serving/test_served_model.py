"""A registered version is asked by whoever has MLflow: without torch, without medkd, without pickle; DICOM or tensors in."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch

from data_contracts import DataError, RegistryError
from medkd.inference.predict import predict_logits
from medkd.registry.load_version import load_registered
from medkd.registry.publish import open_registry
from medkd.serving.served_model import COLUMNS, ServedModel, Wanted, wanted_of
from medkd.storage.workspace import local_workspace


def opened(run, name):
    model, package = open_registry_of(run).fetch(f"models:/tiny/{name}")
    return model, package


def open_registry_of(run):
    return open_registry(local_workspace(run))


@pytest.fixture(scope="module")
def served(served_run):
    """Return the two versions in their serving form, by what they do."""
    registry = open_registry_of(served_run)
    found = {}
    for name in ("cut", "sort"):
        model, package = registry.fetch(f"models:/{name}-teacher/1")
        serving = package.with_name("serving")
        from medkd.storage.store import sha256_file

        found[name] = ServedModel(
            package, serving, manifest_digest=model.manifest_digest, serving_digest=sha256_file(serving / "manifest.json"), name=model.name
        )
    return found, registry


def test_a_study_gives_findings_a_segmentation_and_a_page(served, study_zip, tmp_path):
    rows = served[0]["cut"].answer_study(study_zip, Wanted(out=str(tmp_path)))
    assert [row["finding"] for row in rows] == list(range(1, len(rows) + 1))
    first = rows[0]
    assert tuple(first) == COLUMNS
    assert first["class_name"] == "lesion"
    assert first["modality"] == "CT"
    assert first["volume_ml"] == max(row["volume_ml"] for row in rows)
    page = Path(first["report_path"]).read_text(encoding="utf-8")
    assert "Research use only" in page
    assert page.count("<figure>") == 2 * min(len(rows), 20)
    segmentation = pydicom.dcmread(first["seg_path"])
    with zipfile.ZipFile(study_zip) as archive:
        slices = [pydicom.dcmread(archive.open(name)) for name in archive.namelist() if Path(name).name.startswith("IM")]
    assert segmentation.StudyInstanceUID == slices[0].StudyInstanceUID
    assert segmentation.PatientID == slices[0].PatientID
    # Every frame lies on the slice that it refers to, and holds as many voxels there as the table's figures say in all.
    place = {one.SOPInstanceUID: list(one.ImagePositionPatient) for one in slices}
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        referred = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert list(frame.PlanePositionSequence[0].ImagePositionPatient) == pytest.approx(place[referred])
    voxel_ml = 3.0 * 3.0 * 4.0 / 1000
    assert segmentation.pixel_array.sum() * voxel_ml >= sum(row["volume_ml"] for row in rows) - 1e-6
    assert oct(Path(first["seg_path"]).stat().st_mode & 0o777) == "0o600"


def test_base64_text_is_a_study_too_and_results_can_come_back_as_text(served, study_zip, tmp_path):
    text = base64.b64encode(Path(study_zip).read_bytes()).decode()
    wanted = Wanted(out=str(tmp_path), inline=True)
    rows, again = (served[0]["cut"].answer_study(source, wanted) for source in (text, study_zip))
    about = ("class_name", "volume_ml", "centroid_lps_mm", "key_slice")
    assert [[row[name] for name in about] for row in rows] == [[row[name] for name in about] for row in again]
    assert b"Research use only" in base64.b64decode(rows[0]["report_base64"])
    assert base64.b64decode(rows[0]["seg_base64"])[128:132] == b"DICM"


def test_a_classifier_answers_in_runs_of_slices(served, study_zip, tmp_path):
    rows = served[0]["sort"].answer_study(study_zip, Wanted(out=str(tmp_path)))
    assert sum(row["last_slice"] - row["first_slice"] + 1 for row in rows) == 12
    assert {row["class_name"] for row in rows} <= {"benign", "malignant"}
    assert all(0.5 <= row["probability"] <= 1 for row in rows)
    assert {row["seg_path"] for row in rows} == {None}


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("/nowhere/at/all.zip", "SOURCE_UNREADABLE"),
        ("bm90IGEgemlw", "SOURCE_UNREADABLE"),
        (base64.b64encode(b"PK\x03\x04 not really").decode(), "NO_VOLUME"),
    ],
)
def test_what_is_no_study_is_a_row_that_says_why(served, source, code, tmp_path):
    (row,) = served[0]["cut"].answer_study(source, Wanted(out=str(tmp_path)))
    assert row["code"] == code
    assert row["message"].startswith("expected")


def test_tensors_get_the_networks_answers(served):
    models, registry = served
    images = np.random.default_rng(0).normal(size=(3, 1, 64, 64)).astype(np.float32)
    for name, model in models.items():
        network = load_registered(registry, f"models:/{name}-teacher/1")[2]
        wanted = predict_logits(network, torch.from_numpy(images)).numpy()
        found = model.answer_tensors(list(images), Wanted())
        assert np.abs(found["logits"] - wanted).max() <= 1e-4
        assert (found["labels"] == wanted.argmax(1)).all()
        assert found["class_map"].shape == (3, 2, 64, 64)
        raw = model.answer_tensors([images[0] * 200 + 40], Wanted(intensity="raw"))
        prepared = model.answer_tensors([np.clip((images[:1, 0] * 200 + 40 + 160) / 400, 0, 1) * 2 - 1], Wanted())
        assert np.allclose(raw["logits"], prepared["logits"], atol=1e-4)


@pytest.mark.parametrize("shape", [(64, 64), (1, 32, 64), (2, 64, 64), (1, 1, 64, 64)])
def test_tensors_of_another_shape_are_refused(served, shape):
    with pytest.raises(DataError, match="64, 64") as caught:
        served[0]["sort"].answer_tensors([np.zeros(shape, np.float32)], Wanted())
    assert caught.value.code == "IMAGE_SHAPE"


def test_parameters_that_are_not_named_keep_their_defaults():
    assert wanted_of(None) == wanted_of({"out": None}) == Wanted()
    assert wanted_of({"inline": True}) == Wanted(inline=True)


#: Run where torch, MONAI and the project's own folder cannot be imported: what is left comes with the version.
ELSEWHERE = """
import json, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "monai", "prefect"}:
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
import mlflow, numpy as np, pandas as pd
uri, run, study, out = sys.argv[1:]
mlflow.set_tracking_uri(f"sqlite:///{run}/mlflow.db")
model = mlflow.pyfunc.load_model(uri)
import medkd
image = np.random.default_rng(0).normal(size=(2, 1, 64, 64)).astype(np.float32)
arrays = model.predict({"image": image})
table = model.predict(pd.DataFrame({"dicom": [study]}), params={"out": out})
print(json.dumps({"where": medkd.__file__, "logits": arrays["logits"].tolist(), "findings": len(table), "codes": table["code"].tolist(),
  "torch": "torch" in sys.modules, "signature": model.metadata.signature is not None, "example": model.metadata.saved_input_example_info is not None}))
"""


@pytest.mark.extended
def test_a_version_is_loaded_by_mlflow_alone(served_run, served, study_zip, tmp_path):
    registry = served[1]
    registry.set_alias("cut-teacher", "champion", 1)
    environment = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "PYTHONPATH": ""}
    # Isolated, and away from the project: its own packages are those of the version.
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", ELSEWHERE, "models:/cut-teacher@champion", str(served_run), study_zip, str(tmp_path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert "medkd-code-" in answer["where"]
    assert answer["signature"]
    assert answer["example"]
    assert answer["findings"] >= 1
    assert set(answer["codes"]) == {None}
    network = load_registered(registry, "models:/cut-teacher/1")[2]
    image = np.random.default_rng(0).normal(size=(2, 1, 64, 64)).astype(np.float32)
    assert np.abs(np.array(answer["logits"]) - predict_logits(network, torch.from_numpy(image)).numpy()).max() <= 1e-4


@pytest.mark.parametrize("name", ["model.onnx", "medkd-code.zip", "predict.py", "MLmodel", "weights.safetensors", "requirements.txt"])
def test_one_flipped_byte_of_any_file_is_refused_and_named(served_run, name):
    registry = open_registry_of(served_run)
    where = [path for path in sorted((served_run / "mlartifacts").rglob(name)) if "sort" not in path.parts]
    path = next(p for p in where if json.loads((model_folder(p) / "artifacts/package/card.json").read_bytes())["name"] == "cut-teacher")
    payload = path.read_bytes()
    altered = bytearray(payload)
    altered[len(altered) // 2] ^= 1
    try:
        path.write_bytes(altered)
        with pytest.raises(RegistryError, match=name.replace(".", "[.]")) as caught:
            registry.fetch("models:/cut-teacher/1")
        assert caught.value.code == "VERSION_ALTERED"
        if name in {"model.onnx", "medkd-code.zip", "weights.safetensors"}:
            import mlflow.pyfunc

            # MLflow alone verifies nothing; the version does it itself.
            with pytest.raises(Exception, match=name.replace(".", "[.]")):
                mlflow.pyfunc.load_model(str(model_folder(path)))
    finally:
        path.write_bytes(payload)
    registry.fetch("models:/cut-teacher/1")


def model_folder(path):
    return next(parent for parent in path.parents if (parent / "MLmodel").is_file())


def test_rows_make_the_table_that_the_signature_names(served, served_run, study_zip, tmp_path):
    from medkd.registry.mlflow_model import signature

    rows = served[0]["cut"].answer_study(study_zip, Wanted(out=str(tmp_path)))
    named = {column.name for column in signature().outputs.inputs}
    assert set(pd.DataFrame(rows).columns) <= named

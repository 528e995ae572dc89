from __future__ import annotations

import base64
import json
import re
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import safetensors.torch

from data_contracts import ResultSet, ReviewReport, StudyExplanation, load_record, read_record
from medkd.explanation.artefact import read_explanation
from medkd.pictures.colours import heat_png
from medkd.review.orientation_marks import views_of
from medkd.review.shown import shown_in

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def studied(smoke, medkd_here, tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    model = next(m for m in smoke.summary["models"] if m["name"] == "phantom-segmentation-teacher")
    status, said, faults = medkd_here(
        "run-study", smoke.folder / "dicom" / "study001", "--model", f"models:/{model['name']}/{model['version']}", "--run", smoke.folder,
        "--out", out, "--json",
    )  # fmt: skip
    assert status == 0, faults[-2000:]
    return out, json.loads(said.splitlines()[-1])


def test_a_new_study_gets_a_report_and_a_segmentation(studied):
    out, summary = studied
    report = load_record(out / "report.json", ReviewReport)
    assert summary["report_digest"] == report.digest()
    assert len(shown_in(report)) == len(summary["findings"])
    assert "RESEARCH USE ONLY" in (out / "report.html").read_text()
    assert (out / "picture.png").stat().st_size > 1000


def test_the_written_segmentation_lies_on_the_written_image(studied):
    out, summary = studied
    image, mask = nibabel.load(out / "image.nii.gz"), nibabel.load(out / "segmentation.nii.gz")
    report = load_record(out / "report.json", ReviewReport)
    assert image.shape == mask.shape
    assert np.allclose(image.affine, mask.affine)
    _, arrays = read_explanation(Path(summary["explanation"]))
    assert (mask.get_fdata().transpose(2, 1, 0) > 0).sum() == int((arrays["segmentation/student"] > 0).sum())
    x, y, z = report.volume.geometry.position_lps_mm(3, 20, 30)
    assert (mask.affine @ [30, 20, 3, 1])[:3] == pytest.approx((-x, -y, z), abs=1e-3)


def archived(smoke, model, short):
    """Return the record and the arrays of an explanation as MLflow holds them beside a version, and the names of the report's files there."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=smoke.summary["tracking_uri"], registry_uri=smoke.summary["tracking_uri"])
    version = client.get_model_version(*model)
    assert version.tags[f"medkd.explanation.{short}"]
    (report,) = [name.removeprefix("medkd.report.") for name, of in version.tags.items() if of == f"explanation {short}"]
    beside = {Path(one.path).name for one in client.list_logged_model_artifacts(version.tags["medkd.logged_model"], f"reports/{report}")}
    location = client.get_logged_model(version.tags["medkd.logged_model"]).artifact_location
    archive = zipfile.ZipFile(Path(location.removeprefix("file://")) / f"explanations/explanation-{short}.zip")
    arrays = safetensors.torch.load(archive.read("maps.safetensors"))
    return read_record(archive.read("explanation.json"), StudyExplanation), arrays, report, beside


def test_every_map_on_the_page_has_the_bytes_of_the_registered_explanation(studied, smoke):
    out, _ = studied
    report = load_record(out / "report.json", ReviewReport)
    record, arrays, registered, beside = archived(smoke, ("phantom-segmentation-teacher", "1"), report.explanations[0].digest()[:12])
    assert report.explanations == (record,)
    assert registered == report.digest()[:12]
    assert beside == {"report.html", "report.json", "picture.png"}
    page = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', (out / "report.html").read_text(), re.S)[1])
    shown = shown_in(report)
    assert len(shown) == len(page["heat"]) > 0
    pictures = 0
    for one, heat in zip(shown, page["heat"], strict=True):
        for explainer, payload in heat.items():
            values = arrays[one.by(explainer)["student"].tensor].numpy()
            failed = bool(one.explanation.failed_checks(explainer))
            limit = float(max(np.abs(arrays[ref.tensor].numpy()).max() for ref in one.by(explainer).values()))
            for view in views_of(report.volume.geometry):
                for place, uri in payload["planes"]["student"][view.name].items():
                    plane = np.ascontiguousarray(view.slice_of(values, int(place)), np.float32)
                    assert base64.b64decode(uri.split(",")[1]) == heat_png(plane, limit, failed=failed)
                    pictures += 1
    assert pictures > 0


def test_a_classifier_gets_a_page_of_its_answers_too(smoke, here, tmp_path):
    study = smoke.folder / "dicom" / "study001"
    status, text, errors = here(
        "run-study", study, "--model", "models:/phantom-classification-kd/1", "--run", smoke.folder, "--out", tmp_path / "o", "--json"
    )
    assert status == 0, errors[-800:]
    summary = json.loads(text.splitlines()[-1])
    assert (summary["findings"], bool(summary["answers"])) == ([], True)
    assert "segmentation" not in summary
    assert not (tmp_path / "o" / "segmentation.nii.gz").exists()
    report = load_record(tmp_path / "o" / "report.json", ReviewReport)
    record, arrays, _, _ = archived(smoke, ("phantom-classification-kd", "1"), report.explanations[0].digest()[:12])
    assert report.explanations == (record,)
    assert {ref.tensor for ref in record.maps} <= set(arrays)
    assert "Answers" in (tmp_path / "o" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("study001", "models:/nobody/1"), "VERSION_UNKNOWN"),
        (("study001", "nobody"), "MODEL_URI"),
        (("", "models:/phantom-segmentation-teacher/1"), "WHICH_SERIES"),
        (("nowhere", "models:/phantom-segmentation-teacher/1"), "SOURCE_MISSING"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(smoke, here, tmp_path, arguments, code):
    source, model = arguments
    status, _, errors = here("run-study", smoke.folder / "dicom" / source, "--model", model, "--run", smoke.folder, "--out", tmp_path / "o")
    assert status == 2
    (said,) = [line for line in errors.splitlines() if line.startswith(f"{code}: expected")]
    listed = errors.split(said)[1].splitlines()[1:]
    assert bool(listed) == (code == "WHICH_SERIES")
    assert all(re.match(r"  s[0-9a-f]{16}  CT (oblique )?(axial|coronal|sagittal), \d+ x \d+ x \d+, ", line) for line in listed)


def test_a_registry_that_is_not_there_is_not_made(here, smoke, tmp_path):
    status, _, errors = here(
        "run-study", smoke.folder / "dicom" / "study001", "--model", "models:/a/1", "--run", tmp_path / "none", "--out", tmp_path / "o"
    )
    assert status == 2
    assert errors.startswith("REGISTRY_MISSING: expected")
    assert not (tmp_path / "none").exists()


def test_results_go_out_as_dicom_of_the_study_itself(smoke, here, tmp_path):
    pytest.importorskip("dcmqi")
    source = smoke.folder / "dicom" / "study000"
    status, text, errors = here(
        "run-study", source, "--model", "models:/phantom-segmentation-kd/1", "--run", smoke.folder, "--out", tmp_path / "report",
        "--dicom-out", tmp_path / "dicom", "--json",
    )  # fmt: skip
    assert status == 0, errors[-800:]
    place = Path(json.loads(text.splitlines()[-1])["dicom"])
    found = load_record(place / "result_set.json", ResultSet)
    assert {"report", "key_image"} <= {one.kind for one in found.objects}
    studies = {str(pydicom.dcmread(place / one.file).StudyInstanceUID) for one in found.objects}
    assert studies <= {str(pydicom.dcmread(file, force=True).get("StudyInstanceUID")) for file in source.glob("*.dcm")}
    assert {one.file for one in found.certificate if one.reader.startswith("dciodvfy")} == {one.file for one in found.objects}


def test_results_are_not_written_into_the_source(smoke, here, tmp_path):
    pytest.importorskip("dcmqi")
    source = smoke.folder / "dicom" / "study000"
    status, _, errors = here(
        "run-study", source, "--model", "models:/phantom-segmentation-kd/1", "--run", smoke.folder, "--out", tmp_path / "report",
        "--dicom-out", source / "inside",
    )  # fmt: skip
    assert status == 2
    assert errors.startswith("OUT_OVERLAPS")
    assert not (source / "inside").exists()

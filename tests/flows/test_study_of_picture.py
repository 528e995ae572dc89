"""A new radiograph, mammogram or ultrasound is asked of a registered model of pictures, explained, reported, as a study of volumes is."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest

import medkd as api
from data_contracts import ResultSet, ReviewReport, load_record
from medkd.phantom.dicom_pictures import Picture, write_phantom_pictures, write_picture
from tests.cohorts.as_dicom import AS_DICOM, recipe_of

pytestmark = [pytest.mark.extended, pytest.mark.xdist_group("pictures")]
STUDIES = {
    "DX": (Picture(np.random.default_rng(0).integers(0, 4096, (300, 200)).astype(np.uint16), kind="DX", bits=12, number=900), "DX PA"),
    "MG": (Picture(np.random.default_rng(1).integers(0, 4096, (200, 300)).astype(np.uint16), kind="MG", bits=12, number=901), "MG L CC"),
    "US": (Picture(np.random.default_rng(2).integers(0, 256, (4, 90, 120), dtype=np.uint8), number=902), "US cine 4 frames"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run whose registry holds a teacher and a student of pictures, learnt from DICOM."""
    root = tmp_path_factory.mktemp("pictures")
    write_phantom_pictures(root / "dicom", pictures=24)
    api.distill(recipe_of(AS_DICOM), root / "run", data_root=root)
    return root / "run"


@pytest.mark.parametrize("kind", sorted(STUDIES))
def test_a_picture_is_asked_explained_and_reported(run, medkd, tmp_path, kind):
    picture, words = STUDIES[kind]
    write_picture(tmp_path / "study" / "one.dcm", picture)
    out = tmp_path / "out"
    done = medkd(
        "run-study", str(tmp_path / "study"), "--model", "models:/pictures-kd/1", "--run", str(run), "--out", str(out), "--json", cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["series"][0]["words"].startswith(words)
    frames = picture.pixels.shape[0] if picture.pixels.ndim == 3 else 1
    assert sum(answer["last_slice"] - answer["first_slice"] + 1 for answer in summary["answers"]) == frames
    report = load_record(out / "report.json", ReviewReport)
    assert report.explanations[0].maps
    assert "larger is brighter" in (out / "report.html").read_text()
    assert (out / "picture.png").stat().st_size > 1000
    assert not (out / "image.nii.gz").exists()


def test_its_results_go_out_as_dicom_of_its_own_study(run, medkd, tmp_path):
    image = write_picture(tmp_path / "study" / "one.dcm", STUDIES["DX"][0])
    write_picture(tmp_path / "study" / "two.dcm", STUDIES["MG"][0])  # another picture beside it
    key = json.loads(medkd("ingest", str(tmp_path / "study"), "--dry-run", "--json", cwd=tmp_path).stdout.splitlines()[-1])["series"]
    (series,) = [one["series_key"] for one in key if one["words"].startswith("DX")]
    done = medkd(
        "run-study", str(tmp_path / "study"), "--model", "models:/pictures-kd/1", "--run", str(run), "--out", str(tmp_path / "out"),
        "--series", series, "--dicom-out", str(tmp_path / "results"), "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (record,) = (tmp_path / "results").rglob("result_set.json")
    found = load_record(record, ResultSet)
    assert [one.kind for one in found.objects] == ["report", "key_image"]
    assert pydicom.dcmread(record.parent / found.objects[0].file).StudyInstanceUID == image.StudyInstanceUID

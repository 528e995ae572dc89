from __future__ import annotations

import json
import re

import nibabel
import numpy as np
import pytest

from data_contracts import ReviewReport, load_record
from medkd.storage.store import Store

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def studied(smoke, medkd, tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    model = next(m for m in smoke.summary["models"] if m["name"] == "phantom-segmentation-teacher")
    done = medkd(
        "run-study", str(smoke.folder / "dicom" / "study001"), "--model", f"models:/{model['name']}/{model['version']}", "--run", str(smoke.folder),
        "--out", str(out), "--json", cwd=out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return out, json.loads(done.stdout.splitlines()[-1])


def test_a_new_study_gets_a_report_and_a_segmentation(studied):
    out, summary = studied
    report = load_record(out / "report.json", ReviewReport)
    assert summary["report_digest"] == report.digest()
    assert len(report.findings) == len(summary["findings"])
    assert "RESEARCH USE ONLY" in (out / "report.html").read_text()
    assert (out / "picture.png").stat().st_size > 1000


def test_the_written_segmentation_lies_on_the_written_image(studied):
    out, _ = studied
    image, mask = nibabel.load(out / "image.nii.gz"), nibabel.load(out / "segmentation.nii.gz")
    report = load_record(out / "report.json", ReviewReport)
    assert image.shape == mask.shape
    assert np.allclose(image.affine, mask.affine)
    arrays = Store(out, "study").read_tensors(report.arrays)
    assert (mask.get_fdata().transpose(2, 1, 0) > 0).sum() == int(arrays["student_mask"].sum())
    x, y, z = report.geometry.position_lps_mm(3, 20, 30)
    assert (mask.affine @ [30, 20, 3, 1])[:3] == pytest.approx((-x, -y, z), abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("study001", "models:/nobody/1"), "VERSION_UNKNOWN"),
        (("study001", "nobody"), "MODEL_URI"),
        (("study001", "models:/phantom-classification-teacher/1"), "MODEL_TASK"),
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

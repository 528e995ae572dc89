from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import safetensors.torch
import torch

from data_contracts import RegistryError, ReviewReport, load_record
from medkd.explanation.artefact import ARRAYS, RECORD, SHORT
from medkd.feedback.judged_reports import judged_reports
from medkd.storage.manifest import pack_model
from medkd.volumes.voxel_masks import voxels_of

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "review_4.json"


@pytest.fixture
def kept(tmp_path):
    """Return a folder with a report, the explanation that it is of, its arrays, and the lesion's voxels."""
    report = load_record(GOLDEN, ReviewReport)
    mask = torch.zeros(report.volume.geometry.shape, dtype=torch.uint8)
    mask[1, 4:9, 20:30] = 1
    payload = safetensors.torch.save({"mask/1": mask})
    explanation = report.explanations[0]
    array = explanation.array.model_copy(update={"key": ARRAYS, "sha256": hashlib.sha256(payload).hexdigest()})
    explanation = explanation.model_copy(update={"array": array})
    report = report.model_copy(update={"explanations": (explanation,)})
    folder = tmp_path / "reports" / "s1"
    pack_model(folder / "explanation" / explanation.digest()[:SHORT], {RECORD: explanation.canonical_json(), ARRAYS: payload})
    report.write(folder / "report.json")
    return tmp_path, report, mask


def test_a_report_is_found_by_its_digest_with_the_voxels_of_its_findings(kept):
    folder, report, mask = kept
    found = judged_reports(folder, {report.digest(), "c" * 64})
    assert list(found) == [report.digest()]
    judged = found[report.digest()]
    assert judged.report == report
    assert (voxels_of(judged.contours["lesion-1"]) == mask.numpy().astype(bool)).all()
    assert judged.failed_maps("lesion-1")  # the golden explainer failed a test
    assert judged_reports(folder, {"c" * 64}) == {}


def test_a_report_without_its_arrays_has_no_contours_and_altered_arrays_are_refused(kept):
    folder, report, _ = kept
    (arrays,) = folder.rglob(ARRAYS)
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"\x01")
    with pytest.raises(RegistryError) as caught:
        judged_reports(folder, {report.digest()})
    assert caught.value.code == "VERSION_ALTERED"
    (arrays.parent / RECORD).unlink()
    assert judged_reports(folder, {report.digest()})[report.digest()].contours == {}


def test_what_is_no_report_is_left_out(kept):
    folder, report, _ = kept
    payload = b"{}"
    (folder / "reports" / "s1" / "report.json").write_bytes(payload)
    assert judged_reports(folder, {report.digest(), hashlib.sha256(payload).hexdigest()}) == {}

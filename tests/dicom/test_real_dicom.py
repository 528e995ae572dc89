"""Real, messy scanner files: everything is accounted for, nothing crashes, nothing is guessed."""

from __future__ import annotations

import json

import pytest

from data_contracts import Outcome
from medkd.dicom.ingest import ingest_folder


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    folder = real_data / "dicom_real"
    if not folder.is_dir():
        pytest.skip("dicom_real absent from the real data")
    return folder, ingest_folder(folder, tmp_path_factory.mktemp("store"), secret=b"tests")


def test_every_file_of_the_folder_is_accounted_for(real):
    folder, report = real
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert sorted(file.path for file in report.files) == found
    counts = report.summary()["ingest"]
    assert counts["found"] == counts["accepted"] + counts["quarantined"] + counts["ignored"] == len(found)


def test_known_faults_have_their_codes(real):
    _, report = real
    of = {file.path: file.code for file in report.files}

    def codes_below(part):
        return {code.value for path, code in of.items() if part in path and code is not None}

    assert "GANTRY_TILT" in codes_below("bad/geometry")
    assert "MISSING_SLICES" in codes_below("bad/geometry")
    assert "TOO_FEW_SLICES" in codes_below("bad/geometry")
    assert "DUPLICATE_UID_CONFLICT" in codes_below("duplicate_uid")
    assert not [path for path, code in of.items() if code is None and "/bad/geometry/" in path]


def test_good_brains_are_accepted_with_their_geometry_proved(real):
    _, report = real
    accepted = {file.path for file in report.files if file.outcome is Outcome.ACCEPTED and "mr_brain_PGBM" in file.path}
    assert len(accepted) >= 44
    assert all(series.residual_mm < 0.05 for series in report.series)


def test_the_summary_has_no_original_identifier(real):
    text = json.dumps(real[1].summary())
    assert "1.2.840" not in text
    assert "1.3.6.1" not in text

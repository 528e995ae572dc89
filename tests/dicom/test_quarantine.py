"""What is refused is kept as it came, with its reason and the command that judges it again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from data_contracts import IngestCode
from medkd.dicom.found_file import FoundFile
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.quarantine import quarantine_file
from medkd.phantom.dicom_faults import write_case


def test_the_command_that_a_reason_names_works_from_anywhere(tmp_path):
    source = tmp_path / "Jane's scans"
    write_case(source, "gantry_tilt")
    ingest(IngestRequest(source, tmp_path / "store"), secret=b"k")
    reason = json.loads(next((tmp_path / "store" / "quarantine").rglob("reason.json")).read_text())
    command = reason["reproduce"].replace("medkd ", f"{sys.executable} -m flows.cli ", 1)
    done = subprocess.run(["sh", "-c", command], cwd="/", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["codes"] == {"GANTRY_TILT": 14}


@pytest.fixture
def file(tmp_path):
    (tmp_path / "Doe.dcm").write_bytes(b"original")
    return FoundFile(tmp_path / "Doe.dcm", "Doe.dcm", "x", None)


def keep(file, folder, code=IngestCode.NOT_DICOM):
    return quarantine_file(folder, file, (code, {"what": "x"}), "medkd ingest")


def test_a_refused_file_is_copied_beside_its_reason(file, tmp_path):
    place = keep(file, tmp_path / "q")
    assert (place / "file").read_bytes() == b"original"
    reason = json.loads((place / "reason.json").read_text())
    assert (reason["code"], reason["source_path"], reason["sha256"]) == ("NOT_DICOM", "Doe.dcm", file.sha256)


def test_a_link_of_an_earlier_version_becomes_a_copy(file, tmp_path):
    place = keep(file, tmp_path / "q")
    (place / "file").unlink()
    (place / "file").hardlink_to(file.path)
    keep(file, tmp_path / "q")
    assert (place / "file").stat().st_nlink == 1


def test_what_may_not_be_read_has_a_reason_and_no_file(file, tmp_path):
    locked = FoundFile(file.path, "Doe.dcm", "", None, IngestCode.FILE_UNREADABLE)
    place = keep(locked, tmp_path / "q", IngestCode.FILE_UNREADABLE)
    assert [path.name for path in place.iterdir()] == ["reason.json"]

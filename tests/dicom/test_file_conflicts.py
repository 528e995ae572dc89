"""Files that contradict one another, and those that only repeat or break off."""

from __future__ import annotations

import pytest

from data_contracts import IngestPolicy, Outcome
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import write_case


def ingested(source, tmp_path, policy=None):
    report = ingest(IngestRequest(source, tmp_path / "store", policy or IngestPolicy()), secret=b"k")
    assert len(report.files) == sum(report.count(outcome) for outcome in Outcome)
    assert len({file.path for file in report.files}) == len(report.files)
    return report


@pytest.fixture
def source(tmp_path):
    write_case(tmp_path / "in" / "ct", "regular")
    return tmp_path / "in"


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_copy_that_broke_off_does_not_condemn_the_whole_file(source, tmp_path, share):
    whole = sorted((source / "ct").iterdir())[4].read_bytes()
    (source / "a.dcm").write_bytes(whole[: int(len(whole) * share)])
    report = ingested(source, tmp_path)
    assert report.count(Outcome.ACCEPTED) == 14
    assert report.codes() == {"TRUNCATED_PIXELS": 1}


def test_two_files_of_one_instance_that_differ_are_still_a_conflict(source, tmp_path):
    whole = bytearray(sorted((source / "ct").iterdir())[4].read_bytes())
    whole[-100] ^= 1
    (source / "a.dcm").write_bytes(whole[:-50])
    assert ingested(source, tmp_path).codes()["DUPLICATE_UID_CONFLICT"] == 2

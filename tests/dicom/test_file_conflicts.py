"""Files that contradict one another, and those that only repeat or break off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_contracts import IngestCode, IngestPolicy, Outcome
from medkd.dicom.file_conflicts import find_conflicts
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import write_case
from tests.dicom.invented import found as invented_file
from tests.dicom.invented import header


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


def conflicts(*files, same=False):
    return find_conflicts(list(files), lambda *_: same)


def test_one_instance_in_two_encodings_is_kept_once_and_in_two_contents_not_at_all():
    one, two = invented_file("one", header()), invented_file("two", header())
    assert conflicts(one, two, same=True) == {"two": IngestCode.DUPLICATE_FILE}
    assert conflicts(one, two) == dict.fromkeys(("one", "two"), IngestCode.DUPLICATE_UID_CONFLICT)


def test_one_series_of_two_patients_is_refused_in_both():
    one, two = invented_file("one", header(0)), invented_file("two", header(2, PatientID="P2"))
    assert conflicts(one, two) == dict.fromkeys(("one", "two"), IngestCode.PATIENT_ID_COLLISION)


def test_files_without_instance_or_bytes_contradict_nothing():
    nameless = [invented_file(name, header(SOPInstanceUID=None, SeriesInstanceUID=None)) for name in ("a", "b")]
    assert conflicts(*nameless, invented_file("x", None, digest=""), invented_file("y", None, digest="")) == {}


def test_of_two_copies_the_first_by_name_counts_in_whatever_order_they_come(tmp_path):
    copies = []
    for name in ("later", "earlier"):
        (tmp_path / name).write_bytes(b"the same bytes")
        copies.append(replace(invented_file(name, header(), digest="one"), path=tmp_path / name))
    assert conflicts(*copies) == conflicts(*reversed(copies)) == {"later": IngestCode.DUPLICATE_FILE}

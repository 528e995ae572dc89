"""What may be read as a source, and what is something of ours."""

from __future__ import annotations

import pytest

from data_contracts import OutputError, SourceError
from medkd.dicom.source import check_source
from medkd.storage.output import QUARANTINE, RUN, STORE, STUDY_STORE, claim


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in" / "patient").mkdir(parents=True)
    (tmp_path / "in" / "patient" / "a.dcm").write_bytes(b"x")
    return tmp_path / "in"


def code_of(*arguments):
    with pytest.raises((SourceError, OutputError)) as caught:
        check_source(*arguments)
    return caught.value.code


def test_a_folder_or_a_file_of_dicom_may_be_read(source, tmp_path):
    check_source(source, tmp_path / "out")
    check_source(source / "patient" / "a.dcm", tmp_path / "out")


@pytest.mark.parametrize("kind", [STORE, STUDY_STORE, QUARANTINE])
def test_what_we_made_is_no_source_from_above_or_below(source, kind):
    claim(source / "made", kind)
    (source / "made" / "deep").mkdir()
    for place in (source, source / "made", source / "made" / "deep"):
        assert code_of(place) == "SOURCE_IS_STORE"
    check_source(source / "patient")


def test_a_run_of_ours_beside_the_images_is_no_store(source):
    claim(source / "run", RUN)
    check_source(source)


def test_a_source_that_is_missing_or_overlaps_its_output_is_refused(source, tmp_path):
    assert code_of(tmp_path / "nowhere") == "SOURCE_MISSING"
    assert code_of(source, source / "out") == "OUT_OVERLAPS"
    assert code_of(source, tmp_path) == "OUT_OVERLAPS"

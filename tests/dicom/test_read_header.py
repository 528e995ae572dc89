"""What has no usable header is said to have none, and why."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from data_contracts import Action, IngestCode, IngestPolicy
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import write_case


def test_a_missing_file_header_is_mended_where_the_policy_says_so(tmp_path):
    for path in write_case(tmp_path / "in", "regular"):
        payload = path.read_bytes()
        length = int.from_bytes(payload[140:144], "little")
        path.write_bytes(payload[144 + length :])
    refused = ingest(IngestRequest(tmp_path / "in", tmp_path / "a"), secret=b"k")
    assert refused.codes() == {"MISSING_META": 14}
    mended = ingest(IngestRequest(tmp_path / "in", tmp_path / "b", IngestPolicy(every=Action.REPAIR)), secret=b"k")
    (line,) = mended.series
    assert line.flags == (IngestCode.MISSING_META,)


@pytest.mark.timeout(60)
def test_a_sparse_file_of_zeros_is_no_dicom_and_costs_no_more_than_reading_it(tmp_path):
    """Parsed as elements of tag (0000,0000), sixteen megabytes took a minute."""
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "zeros").open("wb") as stream:
        stream.truncate(2**26)
    report = ingest(IngestRequest(tmp_path / "in", tmp_path / "store"), secret=b"k")
    assert report.files[0].code is IngestCode.NOT_DICOM


@pytest.mark.parametrize("kept", [0, 12])
@pytest.mark.timeout(60)
def test_zeros_behind_a_sound_file_header_cost_no_more_than_reading_them(tmp_path, kept):
    """What a disc leaves that was full, or a download that broke off: the file is as long as it should be, and empty from some element on."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID, header.Modality = CTImageStorage, generate_uid(), "CT"
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    payload = (tmp_path / "whole.dcm").read_bytes()
    behind_meta = payload.index(b"\x08\x00\x16\x00UI")
    whole_elements = payload.index(b"\x08\x00\x60\x00CS") if kept else behind_meta
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "hole.dcm").open("wb") as stream:
        stream.write(payload[:whole_elements])
        stream.truncate(2**26)
    report = ingest(IngestRequest(tmp_path / "in", tmp_path / "store"), secret=b"k")
    assert report.files[0].code is IngestCode.UNREADABLE_HEADER

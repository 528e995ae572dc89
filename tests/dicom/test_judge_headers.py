"""Loss is known by what the header says, and by encodings that know no other way."""

from __future__ import annotations

import pytest

from data_contracts import IngestCode, IngestPolicy
from medkd.dicom.findings import Findings
from medkd.dicom.group import group_slices
from medkd.dicom.judge_headers import judge_headers
from medkd.dicom.read_header import read_file
from medkd.dicom.slices import slices_of
from tests.dicom.invented import group_of, slice_at
from tests.dicom.voxels import ingested


def test_loss_is_flagged_when_the_header_says_so_and_when_the_encoding_knows_no_other_way(series):
    folder = series(lambda _, dataset: setattr(dataset, "LossyImageCompression", "01"))
    _, [(volume, _)] = ingested(folder)
    assert volume.flags == (IngestCode.LOSSY_COMPRESSED,)
    for syntax, lossy in (("1.2.840.10008.1.2.4.50", True), ("1.2.840.10008.1.2.4.70", False)):
        found = [read_file(path, path.name) for path in sorted(folder.iterdir())]
        for file in found:
            file.header.file_meta.TransferSyntaxUID = syntax
            file.header.LossyImageCompression = ""
        findings = Findings(IngestPolicy())
        judge_headers(group_slices([item for file in found for item in slices_of(file)])[0], findings)
        assert (IngestCode.LOSSY_COMPRESSED in findings.flags) is lossy


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, IngestCode.DERIVED_MPR),
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]}, IngestCode.DERIVED_MPR),
        ({"LossyImageCompression": "01"}, IngestCode.LOSSY_COMPRESSED),
        ({"PhotometricInterpretation": "MONOCHROME1"}, IngestCode.MONOCHROME1),
        ({}, None),
    ],
)
def test_what_the_headers_say_of_the_pixels_is_a_flag(values, code):
    findings = Findings(IngestPolicy())
    judge_headers(group_of([slice_at(0), slice_at(2, **values)] if "ImageType" not in values else [slice_at(0, **values)]), findings)
    assert list(findings.flags) == ([] if code is None else [code])

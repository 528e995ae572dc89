"""A DICOM folder by its headers."""

from __future__ import annotations

import pytest

from data_contracts import SourceError
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.planning.read_dicom import read_dicom


def test_studies_of_the_phantom_are_measured_by_their_headers(tmp_path):
    write_phantom_dicom(tmp_path / "studies", studies=2)
    found = read_dicom(tmp_path / "studies")
    assert (found.source, found.cases, found.patients) == ("dicom", 3, 2)  # one of the phantom's three series lacks a slice
    assert found.median_shape == (12, 64, 64)
    assert found.median_spacing == (4, 3, 3)
    assert found.modality == "CT"
    assert found.fields["kind"] == "dicom"
    assert next(iter(found.classes)) == "background"
    assert "before ingestion" in found.unknown[0]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("no image")
    with pytest.raises(SourceError, match="found none of them") as caught:
        read_dicom(tmp_path)
    assert caught.value.code == "SOURCE_MISSING"

"""Stored pixels are those of the file as it is now."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from data_contracts import IngestCode, IngestError
from medkd.dicom.pixel_plan import plan_pixels
from medkd.dicom.read_header import read_file
from medkd.dicom.slices import slices_of
from medkd.dicom.stored_values import stored_values
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import find_variant
from tests.dicom.voxels import ingested, truth


@pytest.mark.parametrize("variant", ["axial", "sagittal", "deflated"])
def test_a_file_that_changed_in_place_is_read_anew_in_the_same_process(tmp_path, variant):
    """What a decoder keeps of a path must not outlive the bytes it was read from."""
    (path,) = write_case(tmp_path / "case", "enhanced", find_variant(variant))
    _, [(first, _)] = ingested(path.parent)
    dataset = pydicom.dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    dataset.PixelData = (dataset.pixel_array + 1).astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].is_undefined_length = False
    if syntax.is_encapsulated:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    _, [(volume, values)] = ingested(path.parent)
    assert first.array.sha256 != volume.array.sha256
    assert np.abs(values - 1 - truth(volume)).max() < 1


def test_a_file_that_shrinks_between_header_and_pixels_is_said_to_be_truncated(series):
    path = sorted(series().iterdir())[0]
    (item,) = slices_of(read_file(path, "x"))
    whole = stored_values(plan_pixels(item))
    assert whole.tobytes() == pydicom.dcmread(path).PixelData
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(IngestError) as refused:
        stored_values(plan_pixels(item))
    assert refused.value.ingest_code is IngestCode.TRUNCATED_PIXELS
    assert refused.value.evidence["bytes"] == whole.nbytes - 10

"""A slice is what the frame says, then what all frames share, then what the object says."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from medkd.phantom.dicom_faults import write_case
from tests.dicom.voxels import ingested, truth

pytestmark = pytest.mark.usefixtures("odd_values_may_be_written")


@pytest.mark.parametrize("slope", [0.25, 2.5])
def test_a_rescale_at_the_top_of_an_enhanced_object_is_applied(tmp_path, slope):
    (path,) = write_case(tmp_path / "case", "enhanced")
    dataset = pydicom.dcmread(path)
    hu = dataset.pixel_array.astype(float) - 1024
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        del frame.PixelValueTransformationSequence
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = slope, -1024, "HU"
    dataset.PixelData = np.rint((hu + 1024) / slope).astype("<u2").tobytes()
    dataset.save_as(path)
    _, [(volume, values)] = ingested(path.parent)
    assert volume.unit == "HU"
    assert np.abs(values - truth(volume)).max() <= slope / 2 + 1


def test_the_functional_group_counts_before_the_top_level(tmp_path):
    (path,) = write_case(tmp_path / "case", "enhanced")
    dataset = pydicom.dcmread(path)
    dataset.RescaleSlope, dataset.RescaleIntercept = 7, 7
    dataset.save_as(path)
    _, [(volume, values)] = ingested(path.parent)
    assert np.abs(values - truth(volume)).max() < 1

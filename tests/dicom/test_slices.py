"""A slice is what the frame says, then what all frames share, then what the object says."""

from __future__ import annotations

import math

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from data_contracts import IngestCode, IngestError
from medkd.dicom.slices import slices_of
from medkd.phantom.dicom_faults import write_case
from tests.dicom.drawn import item
from tests.dicom.invented import found, header, slice_at
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


def enhanced(*frames, shared=None, **values):
    """Return the slices of an enhanced object of some functional groups."""
    dataset = header(ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None, NumberOfFrames=len(frames), **values)
    dataset.SharedFunctionalGroupsSequence = [shared or Dataset()]
    dataset.PerFrameFunctionalGroupsSequence = list(frames)
    return slices_of(found("e.dcm", dataset))


def frame(z, **more):
    return item(PlanePositionSequence=[item(ImagePositionPatient=[0.0, 0.0, z])], **more)


PLANE = {
    "PlaneOrientationSequence": [item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
    "PixelMeasuresSequence": [item(PixelSpacing=[1.5, 1.0])],
}


def test_a_single_frame_is_one_slice_of_what_its_header_says():
    one = slice_at(4.5, RescaleSlope=2, RescaleIntercept=-1024, RescaleType="HU")
    assert (one.position_mm, one.spacing_mm, one.matrix) == ((0.0, 0.0, 4.5), (1.5, 1.0), (4, 6))
    assert (one.slope, one.intercept, one.rescale_type, one.frame) == (2.0, -1024.0, "HU", 0)


def test_each_frame_is_a_slice_and_its_own_groups_count_before_the_shared_ones():
    wide = [item(PixelSpacing=[3.0, 3.0])]
    slices = enhanced(frame(0.0), frame(2.0, PixelMeasuresSequence=wide), shared=item(**PLANE))
    assert [(one.frame, one.position_mm[2], one.spacing_mm) for one in slices] == [(0, 0.0, (1.5, 1.0)), (1, 2.0, (3.0, 3.0))]
    assert slices[0].place != slices[1].place


def test_an_attribute_is_that_of_the_frame_then_of_all_frames_then_of_the_object():
    shared = item(CTXRayDetailsSequence=[item(KVP=80)], **PLANE)
    own, other = enhanced(frame(0.0, CTXRayDetailsSequence=[item(KVP=120)]), frame(2.0), shared=shared, FlipAngle=9)
    assert [one.value("KVP") for one in (own, other)] == ["120", "80"]
    assert own.attributes["KVP"] == "120"
    assert [one.value("FlipAngle") for one in (own, other)] == ["9", "9"]


@pytest.mark.parametrize("missing", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_what_the_geometry_lacks_is_named(missing):
    with pytest.raises(IngestError) as caught:
        slice_at(0, **{missing: None})
    assert (caught.value.ingest_code, caught.value.evidence["missing"]) == (IngestCode.MISSING_POSITION, missing)


@pytest.mark.parametrize("frames", [(), (frame(0.0),)])
def test_functional_groups_that_are_not_those_of_the_frames_are_refused(frames):
    dataset = header(NumberOfFrames=2)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [item(**PLANE)], list(frames)
    with pytest.raises(IngestError) as caught:
        slices_of(found("e.dcm", dataset))
    assert caught.value.ingest_code is IngestCode.ENHANCED_UNSUPPORTED


def test_a_place_that_is_no_number_is_refused_as_such():
    dataset = header()
    dataset.add_new(0x00280030, "FD", [math.nan, 1.0])
    with pytest.raises(IngestError) as caught:
        slices_of(found("a.dcm", dataset))
    assert caught.value.ingest_code is IngestCode.UNREADABLE_NUMBER

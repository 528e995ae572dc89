from __future__ import annotations

import pytest

from data_contracts import IngestCode, IngestError
from medkd.dicom.picture_frames import picture_group
from tests.dicom.invented import found, header


def test_every_frame_is_a_slice_that_lies_nowhere():
    group = picture_group(found("a.dcm", header(NumberOfFrames=3, ImagePositionPatient=None, RescaleSlope=2, RescaleIntercept=-1)))
    assert [item.frame for item in group.slices] == [0, 1, 2]
    assert {(item.position_mm, item.orientation, item.matrix, item.slope, item.intercept) for item in group.slices} == {
        ((), (), (4, 6), 2.0, -1.0)
    }
    assert group.is_picture
    assert len({item.place for item in group.slices}) == 3


@pytest.mark.parametrize("wrong", [{"Rows": 0}, {"Columns": 0}, {"NumberOfFrames": 0}])
def test_a_picture_has_pixels(wrong):
    with pytest.raises(IngestError) as caught:
        picture_group(found("a.dcm", header(**wrong)))
    assert caught.value.ingest_code is IngestCode.UNREADABLE_HEADER

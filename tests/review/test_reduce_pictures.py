from __future__ import annotations

import torch

from data_contracts import PictureGrid
from medkd.review.reduce_pictures import MOST_SHOWN, reduced
from medkd.review.shown import StudyArrays
from tests.dicom.invented import volume

SIDE = 2 * int(MOST_SHOWN**0.5)


def test_a_large_picture_is_drawn_smaller_and_a_small_one_and_a_volume_as_they_are():
    values = torch.arange(SIDE, dtype=torch.float32).repeat(1, SIDE, 1)
    marked = torch.zeros(1, SIDE, SIDE, dtype=torch.uint8)
    marked[:, :4, :4], marked[:, 4:8, :4] = 1, 3
    arrays = StudyArrays(values, ({"map/1/student/cam": values, "segmentation/student": marked},), marked)
    picture = volume().model_copy(update={"geometry": PictureGrid(shape=(1, SIDE, SIDE))})
    small = reduced(arrays, picture)
    assert small.volume.shape == (1, SIDE // 2, SIDE // 2)
    assert torch.equal(small.volume[0, 0], torch.arange(SIDE // 2) * 2 + 0.5)
    assert torch.equal(small.explained[0]["map/1/student/cam"], small.volume)
    for mask in (small.label, small.explained[0]["segmentation/student"]):
        assert mask.dtype == torch.uint8
        assert mask[0, :4, :2].unique().tolist() == [1, 3]
        assert int((mask > 0).sum()) == 8
    little = volume().model_copy(update={"geometry": PictureGrid(shape=(1, 4, 6))})
    assert reduced(arrays, little) is arrays
    assert reduced(arrays, volume(shape=(1, SIDE, SIDE))) is arrays

from __future__ import annotations

import numpy as np

from data_contracts import PictureGrid
from medkd.review.reduce_pictures import MOST_SHOWN, reduced
from medkd.review.shown import StudyArrays
from tests.dicom.invented import volume

SIDE = 2 * int(MOST_SHOWN**0.5)


def test_a_large_picture_is_drawn_smaller_and_a_small_one_and_a_volume_as_they_are():
    values = np.tile(np.arange(SIDE, dtype=np.float32), (1, SIDE, 1))
    marked = np.zeros((1, SIDE, SIDE), dtype=np.uint8)
    marked[:, :4, :4], marked[:, 4:8, :4] = 1, 3
    marked[:, 20, 20] = 1  # a quarter of the pixel that it becomes a part of
    arrays = StudyArrays(values, ({"map/1/student/cam": values, "segmentation/student": marked},), marked)
    picture = volume().model_copy(update={"geometry": PictureGrid(shape=(1, SIDE, SIDE))})
    small = reduced(arrays, picture)
    assert small.volume.shape == (1, SIDE // 2, SIDE // 2)
    np.testing.assert_array_equal(small.volume[0, 0], np.arange(SIDE // 2) * 2 + 0.5)
    np.testing.assert_array_equal(small.explained[0]["map/1/student/cam"], small.volume)
    for mask in (small.label, small.explained[0]["segmentation/student"]):
        assert mask.dtype == np.uint8
        assert np.unique(mask[0, :4, :2]).tolist() == [1, 3]
        assert int((mask > 0).sum()) == 8
    little = volume().model_copy(update={"geometry": PictureGrid(shape=(1, 4, 6))})
    assert reduced(arrays, little) is arrays
    assert reduced(arrays, volume(shape=(1, SIDE, SIDE))) is arrays


def test_at_the_far_edges_the_mean_is_of_the_pixels_that_there_are(monkeypatch):
    monkeypatch.setattr("medkd.review.reduce_pictures.MOST_SHOWN", 4)
    values = np.arange(15, dtype=np.float32).reshape(1, 3, 5)
    picture = volume().model_copy(update={"geometry": PictureGrid(shape=(1, 3, 5))})
    small = reduced(StudyArrays(values, ()), picture).volume
    assert small.tolist() == [[[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]]

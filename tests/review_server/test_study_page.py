from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from review_clients import one_report

from data_contracts import DataError, map_name
from medkd.review_server.study_page import heat_picture, slice_picture


def pixels(payload):
    return np.asarray(Image.open(io.BytesIO(payload)))


def test_levels_are_what_the_page_windows_again(services):
    from medkd.review.served_data import study_greys

    study = services.index.find("series-000")
    _, arrays = one_report(0, lesions=2)
    levels = study_greys(study.report, study.arrays()).levels
    assert np.array_equal(pixels(slice_picture(services, study, "axial", 3, True)), levels.encode(arrays.volume[3]))


def test_a_map_is_coloured_where_it_speaks_and_the_difference_is_student_less_teacher(services):
    study = services.index.find("series-000")
    _, arrays = one_report(0, lesions=2)
    own = arrays.explained[0][map_name(1, "student", "grad_cam")][4]
    found = pixels(heat_picture(services, study, (0, "grad_cam", "student"), "axial", 4))
    assert found.shape == (40, 48, 4)
    assert np.unravel_index(found[..., 3].argmax(), own.shape) == np.unravel_index(own.argmax(), own.shape)
    difference = pixels(heat_picture(services, study, (0, "grad_cam", "difference"), "axial", 4))
    teacher = arrays.explained[0][map_name(1, "teacher", "grad_cam")][4]
    blue = difference[..., 2] > difference[..., 0]
    clear = np.abs(own - teacher) > 0.1
    assert np.array_equal(blue[clear], (own < teacher)[clear])


@pytest.mark.parametrize(
    "which", [(9, "grad_cam", "student"), (0, "nowhere", "student"), (0, "grad_cam", "nobody"), (-1, "grad_cam", "student")]
)
def test_maps_that_are_not_there_are_named(services, which):
    with pytest.raises(DataError) as caught:
        heat_picture(services, services.index.find("series-000"), which, "axial", 4)
    assert caught.value.code == "UNKNOWN"

"""Maps inside a page: near the finding and the focus outside, in every plane, also where they hold what is no number."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from medkd.review.orientation_marks import views_of
from medkd.review.page_heat import heat_of, heat_steps, near_places, shown_maps
from medkd.review.page_pictures import drawn_planes
from medkd.review.page_quality import QUALITIES
from medkd.review.shown import StudyArrays, shown_in

POINT = (4, 14, 18)


@pytest.fixture
def heat(report, arrays):
    """Return what gives the heat of the first finding, by quality and points."""

    def found(arrays=arrays, points=(POINT,), **changes):
        planes = drawn_planes(arrays.volume, views_of(report.volume.geometry), QUALITIES[0])
        maps = shown_maps(shown_in(report)[0], arrays)
        return heat_of(maps, planes, dataclasses.replace(QUALITIES[0], **changes), points)["grad_cam"]

    return found


def test_maps_are_held_round_each_point_in_every_plane(heat):
    found = heat(points=(POINT, (10, 2, 40)), heat_reach=1)
    assert found["held"] == {"axial": [3, 4, 5, 9, 10, 11], "coronal": [1, 2, 3, 13, 14, 15], "sagittal": [17, 18, 19, 39, 40, 41]}
    assert set(found["planes"]["student"]["axial"]) == {"3", "4", "5"}, "slices of zeros have no picture"
    assert set(found["planes"]["student"]["coronal"]) == {"13", "14", "15"}


def test_a_page_may_hold_maps_of_the_acquired_plane_alone(heat):
    assert set(heat(heat_planes=False)["held"]) == {"axial"}


def test_what_is_no_number_is_said_and_takes_no_part_in_the_scale(heat, arrays):
    before = heat()
    kept = {name: np.array(values, copy=True) for name, values in arrays.explained[0].items()}
    kept["map/1/student/grad_cam"][4, 0, :3] = (np.nan, np.inf, -np.inf)
    found = heat(StudyArrays(arrays.volume, (kept,), arrays.label))
    assert found["limit"] == before["limit"]
    assert "no numbers" in found["mark"]["en"]
    assert before["mark"] == {"en": "", "zh": ""}


def test_a_map_of_nothing_but_nan_has_no_picture(heat, arrays):
    kept = {name: np.full_like(values, np.nan) if name.startswith("map/") else values for name, values in arrays.explained[0].items()}
    found = heat(StudyArrays(arrays.volume, (kept,), arrays.label))
    assert found["limit"] == "0"
    assert not any(found["planes"]["student"].values())


def test_large_maps_are_drawn_smaller(report):
    axial, coronal, _ = views_of(report.volume.geometry)
    assert heat_steps(axial, (12, 512, 500), 128) == (1, 4, 4)
    assert heat_steps(coronal, (300, 512, 500), 128) == (3, 1, 4)


def test_the_nearest_slices_of_a_coarse_plane_are_taken(report, arrays):
    coronal = dataclasses.replace(drawn_planes(arrays.volume, views_of(report.volume.geometry), QUALITIES[0])[1], places=[2, 6, 10, 14])
    assert near_places(coronal, 9, 1) == [6, 10, 14]

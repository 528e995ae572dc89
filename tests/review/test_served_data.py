from __future__ import annotations

import json

import pytest
from review_clients import one_report

from medkd.review.served_data import map_names, served_data, study_greys
from medkd.review.shown import shown_in
from medkd.review.study_file import NAME, open_study_file, write_study_file


@pytest.fixture
def study(tmp_path):
    report, arrays = one_report(0, lesions=2)
    return report, open_study_file(write_study_file(tmp_path / NAME, report, arrays))


def test_before_the_own_read_there_is_nothing_of_a_model(study):
    found = served_data(*study, "/study/x", locked=False).payload
    assert (found["heat"], found["outlines"], found["centres"], found["explainers"]) == ([], {}, [], [])
    assert found["served"] == {"base": "/study/x", "locked": False}
    assert "grad_cam" not in json.dumps(found)


def test_after_it_outlines_maps_and_places_are_those_of_the_report(study):
    report, arrays = study
    found = served_data(report, arrays, "/study/x", locked=True).payload
    assert set(found["outlines"]) == {"student", "teacher", "reference"}
    assert [places[0] for places in found["centres"]] == [4, 4]
    assert found["centres"][0] != found["centres"][1]
    heat = found["heat"][0]["grad_cam"]
    assert heat["roles"] == ["teacher", "student", "difference"] or heat["roles"] == ["student", "teacher", "difference"]
    assert heat["held"] == {}
    assert found["pictures"] == {}
    assert [len(view["places"]) for view in found["views"].values()] == [arrays.shape[view["axis"]] for view in found["views"].values()]


def test_levels_cover_what_the_volume_holds(study):
    report, arrays = study
    levels = study_greys(report, arrays).levels
    assert levels.points[0][0] == 0
    assert levels.points[-1][0] == 255


def test_maps_have_the_names_of_the_file(study):
    report, arrays = study
    assert set(map_names(shown_in(report)[1], "grad_cam").values()) == {"0/map/2/student/grad_cam", "0/map/2/teacher/grad_cam"}
    assert set(map_names(shown_in(report)[1], "grad_cam").values()) <= set(arrays.tensors)

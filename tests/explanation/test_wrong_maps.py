from __future__ import annotations

import numpy as np
import pytest
from review_clients import one_report

from data_contracts import DataError, map_name
from medkd.explanation.wrong_maps import mirrored, moved_onto, swapped, with_wrong_maps


@pytest.fixture
def study():
    report, arrays = one_report(0, lesions=2)
    explanation, kept = report.explanations[0], arrays.explained[0]
    return explanation, {one.tensor: kept[one.tensor] for one in explanation.maps}, kept


def test_each_finding_gets_the_maps_of_the_next(study):
    explanation, maps, _ = study
    found = swapped(maps, explanation)
    assert np.array_equal(found[map_name(1, "teacher", "grad_cam")], maps[map_name(2, "teacher", "grad_cam")])
    assert np.array_equal(found[map_name(2, "student", "grad_cam")], maps[map_name(1, "student", "grad_cam")])
    report, _ = one_report(0)
    with pytest.raises(DataError, match="got 1"):
        swapped(maps, report.explanations[0])


def test_maps_are_mirrored_and_moved_onto_another_grid():
    values = np.zeros((2, 3, 4), np.float32)
    values[0, 1, 0] = 5
    assert mirrored({"a": values}, 2)["a"][0, 1, 3] == 5
    moved = moved_onto({"a": values}, (4, 6, 8), {"a": 2.0})["a"]
    assert moved.shape == (4, 6, 8)
    assert moved.max() == 2.0
    assert np.argwhere(moved == 2.0).tolist() == [[s, r, c] for s in (0, 1) for r in (2, 3) for c in (0, 1)]


def test_what_is_measured_of_a_map_is_measured_of_the_wrong_one(study):
    explanation, maps, kept = study
    regions = {1: kept["mask/1"], 2: kept["mask/2"]}
    marked = kept["segmentation/student"]
    genuine = with_wrong_maps(explanation, maps, regions, marked)
    wrong = with_wrong_maps(explanation, swapped(maps, explanation), regions, marked)
    own, other = (next(one for one in found.maps if one.number == 1 and one.model_role == "student") for found in (genuine, wrong))
    assert own.measure("relevance_mass_accuracy") > 0.2
    assert other.measure("relevance_mass_accuracy") < 0.1
    assert own.peaks != other.peaks
    assert genuine.lesions[0].outside.share_outside != wrong.lesions[0].outside.share_outside
    assert [value.name for value in own.measures] == [value.name for value in other.measures] == [value.name for value in explanation.maps[1].measures]  # fmt: skip

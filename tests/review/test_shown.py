from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_contracts import map_name
from medkd.review.shown import StudyArrays, shown_in


def test_what_each_source_marks_is_found_by_its_name(arrays):
    masks = arrays.masks()
    assert set(masks) == {"student", "teacher", "reference"}
    assert all(mask.dtype == np.bool_ for mask in masks.values())
    np.testing.assert_array_equal(masks["reference"], arrays.label > 0)
    assert set(StudyArrays(arrays.volume, arrays.explained).masks()) == {"student", "teacher"}
    assert replace(arrays, explained=()).masks().keys() == {"reference"}


def test_only_findings_with_maps_are_shown_lesions_before_answers(report, change, of_a_panel):
    (shown,) = shown_in(report)
    assert (shown.label, shown.place) == ("lesion 1", 0)
    assert shown_in(change(report, maps=())) == []
    first, second = shown_in(of_a_panel[0])
    assert (first.label, second.label) == ("lesion 1", "answer 1")
    assert (first.place, second.place) == (0, 1)


def test_maps_of_other_findings_are_not_shown_with_one(report, change):
    other = report.explanations[0].maps[0].model_copy(update={"tensor": map_name(2, "student", "grad_cam")})
    (shown,) = shown_in(change(report, maps=(*report.explanations[0].maps, other)))
    assert [ref.number for ref in shown.maps] == [1, 1]


def test_explainers_keep_their_order_and_their_maps_stand_student_first(of_a_panel):
    answer = shown_in(of_a_panel[0])[1]
    assert answer.explainers == ("cam", "saliency")
    assert list(answer.by("saliency")) == ["student", "teacher"]
    assert {ref.method.explainer for ref in answer.by("saliency").values()} == {"saliency"}
    assert answer.by("lime") == {}

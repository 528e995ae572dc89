"""The first screen: what is said first, of whom, in which order, and where it sends the reader."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from data_contracts import Caveat
from medkd.inference.training_caveats import cases_caveats
from medkd.review.caveats import compute_caveats
from medkd.review.summary import MOST_CAVEATS, MOST_MISSED, summary_of
from medkd.review.texts import text_of
from tests.review.conftest import explained


def english(texts):
    return [text_of(text, "en") for text in texts]


def computed(report):
    return report.model_copy(update={"caveats": compute_caveats(report.explanations)})


def test_a_lesion_that_both_mark_is_said_with_its_place_and_its_size(report, change):
    summary = summary_of(change(report, lesion={"share_in_teacher": 0.9, "dice_to_teacher": 0.83, "volume_ml": 7.25, "diameter_mm": 31.0}))
    assert summary.first == ()
    assert english(summary.found) == [
        "The student outlines 1 lesion.",
        "lesion 1: on the patient's left, 7.25 ml, longest diameter 31.0 mm; slices 4 to 7, largest on slice 5; "
        "the teacher marks it too (Dice 0.83).",
    ]


def test_what_one_of_two_models_alone_marks_comes_first_and_is_to_be_looked_at_first(report, change):
    lesion = report.explanations[0].lesions[0]
    missed = lesion.model_copy(update={"tracking_id": "teacher-1", "side": "right", "key_slice": 9, "first_slice": 8, "last_slice": 10})
    summary = summary_of(change(report, lesion={"share_in_teacher": 0.03}, teacher_only=(missed,)))
    student, teacher = english(summary.first)
    assert student.startswith("Only the student marks lesion 1: on the patient's left")
    assert teacher.startswith("Only the teacher marks T1: on the patient's right")
    assert "slices 9 to 11, largest on slice 10" in teacher
    assert [(one.slice_index, one.place) for one in summary.look][:2] == [(4, 0), (9, None)]


def test_a_study_outside_the_training_is_said_before_that(report, change):
    grave = Caveat(
        code="UNIT_UNTRAINED",
        text="the model was trained on values in HU, those of the study are raw; what it says of it was never measured.",
        severity=3,
    )
    summary = summary_of(change(report, lesion={"share_in_teacher": 0.03}).model_copy(update={"caveats": (grave,)}))
    assert english(summary.first)[0] == grave.text
    assert english([summary.caveats[0]]) == ["1 caveat, of which 1 grave; the gravest first:"]
    assert summary.caveats[1] == ()


@pytest.mark.parametrize("cases", ["synthesised", "noise"])
def test_a_model_that_was_trained_on_no_case_is_said_to_be_so_before_anything_else(report, cases):
    found = cases_caveats(SimpleNamespace(cases=cases, hidden_classes=("cyst",)))
    summary = summary_of(report.model_copy(update={"caveats": found}))
    assert english(summary.first)[0] == found[0].text
    assert not re.search("[A-Za-z]{3}", text_of(summary.first[0], "zh"))
    (unseen,) = summary.caveats[1]
    assert english(unseen) == ["class without label", found[1].text]
    assert text_of(unseen[1], "zh") == "模型的训练标签中从未出现 cyst；它对此类别的判断仅学自教师模型。"


def test_a_healthy_organ_is_no_lesion_and_its_outline_no_finding(report):
    one = report.explanations[0]
    lesion = one.lesions[0].model_copy(update={"class_name": "anterior"})
    anatomy = report.model_copy(update={"explanations": (one.model_copy(update={"structures": "anatomy", "lesions": (lesion,)}),)})
    found = english(summary_of(anatomy).found)
    assert found[:2] == [
        "The student outlines 1 structure.",
        "These are structures that everybody has: an outline says where, and nothing of whether that is healthy.",
    ]
    assert found[2].startswith("structure 1 (anterior): ")
    assert "lesion" not in " ".join(found + english(one.text for one in summary_of(anatomy).look))


def test_nothing_found_is_said_and_not_taken_for_nothing_there(nothing_found):
    summary = summary_of(nothing_found)
    assert english(summary.found) == [
        "The student outlines no lesion in this study. That nothing is outlined does not say that nothing is there."
    ]
    assert summary.look == ()


def test_lesions_that_are_not_explained_are_counted(report, change):
    lesion = report.explanations[0].lesions[0]
    found = english(summary_of(change(report, lesions=(lesion, lesion.model_copy(update={"tracking_id": "lesion-2"})))).found)
    assert found[0] == "The student outlines 2 lesions."
    assert found[-1] == "1 more outlined, not explained; they are only drawn on the slices."


def test_an_answer_that_the_teacher_does_not_give_comes_first(of_a_panel):
    summary = summary_of(of_a_panel[0])
    assert english(summary.first) == ["answer 1: the student answers malignant, the teacher benign."]
    assert [one.place for one in summary.look][:2] == [1, 0], "the answer before the lesion"
    assert (
        english(summary.found)[-1]
        == "answer 1: on slices 2 to 10 the student answers malignant, probability 0.80; the teacher answers benign."
    )


def test_how_sure_says_what_probabilities_are_worth_and_what_bounds_the_misses(report):
    plain = english(summary_of(computed(report)).sure)
    assert plain[0].startswith("An outline has no probability of its own")
    assert plain[1] == "Where probabilities are not calibrated, 0.9 does not mean 9 in 10."
    assert plain[-1] == "No bound on what is missed was computed."
    bound = "net: on average over patients like the 40 of the validation, at most 10% of a patient's positive cases do not reach a probability of 0.3 before calibration."
    known = (Caveat(code="CALIBRATED", text="net: probabilities are calibrated (temperature 1.2) on 40 validation patients.", severity=1),)
    both = english(summary_of(report.model_copy(update={"caveats": (*known, Caveat(code="MISSED_BOUND", text=bound, severity=1))})).sure)
    assert both[1:] == [known[0].text, bound]


def test_how_sure_of_this_study_is_said_before_what_was_measured_of_the_model(of_a_panel):
    report, _ = of_a_panel
    assert english(summary_of(report).sure)[0] == "answer 1: malignant with probability 0.80, not calibrated."
    segmenter, classifier = report.explanations
    known = Caveat(
        code="CALIBRATED", text="classifier: probabilities are calibrated (temperature 1.2) on 40 validation patients.", severity=1
    )
    both = (segmenter, classifier.model_copy(update={"caveats": (known,)}))
    assert (
        english(summary_of(report.model_copy(update={"explanations": both})).sure)[0]
        == "answer 1: malignant with probability 0.80, calibrated."
    )


def test_what_the_teacher_alone_marks_is_looked_at_before_an_answer_that_it_does_not_share(of_a_panel):
    report, _ = of_a_panel
    segmenter, classifier = report.explanations
    missed = segmenter.lesions[0].model_copy(update={"tracking_id": "teacher-1", "key_slice": 9})
    both = (segmenter.model_copy(update={"teacher_only": (missed,)}), classifier)
    assert [one.slice_index for one in summary_of(report.model_copy(update={"explanations": both})).look][:2] == [9, 6]


def test_the_gravest_caveats_are_repeated_and_all_are_counted(report):
    caveats = tuple(Caveat(code=f"CODE_{place}", text="x", severity=3 if place < 2 else 1) for place in range(5))
    counted, named = summary_of(report.model_copy(update={"caveats": caveats})).caveats
    assert english([counted]) == ["5 caveats, of which 2 grave; the gravest first:"]
    assert len(named) == MOST_CAVEATS
    assert named[0] == ("code 0", "x")
    assert english([summary_of(report.model_copy(update={"caveats": ()})).caveats[0]]) == ["No caveat was computed."]


def test_a_focus_outside_is_a_place_to_look_at_only_where_most_lies_outside(report, change):
    outside = report.explanations[0].lesions[0].outside

    def spots(share):
        changed = change(report, lesion={"outside": outside.model_copy(update={"share_outside": share})})
        return [one.spot for one in summary_of(changed).look if one.spot]

    assert spots(0.6) == [(outside.row, outside.column)]
    assert spots(0.4) == []


def test_a_screen_full_of_specks_is_counted_and_the_largest_are_named(report, change):
    lesion = report.explanations[0].lesions[0]
    volumes = [0.4, 9.0, 0.2, 3.0, 1.0, 0.3]
    missed = tuple(
        lesion.model_copy(update={"tracking_id": f"teacher-{number}", "volume_ml": volume, "voxels": int(100 * volume)})
        for number, volume in enumerate(volumes, 1)
    )
    summary = summary_of(change(report, lesion={"share_in_teacher": 0.9}, teacher_only=missed))
    said = english(summary.first)
    assert [text.split(":")[0] for text in said[:-1]] == [f"Only the teacher marks T{number}" for number in (2, 4, 5)]
    assert said[-1] == "3 more that only the teacher marks, the largest 0.40 ml; they are in the table of findings."
    assert sum("only the teacher marks" in text for text in english(one.text for one in summary.look)) == MOST_MISSED


def test_the_bound_on_what_is_missed_stands_with_nothing_being_found(nothing_found):
    bound = "net: on average over patients like the 40 of the validation, at most 10% of a patient's lesions have no voxel that reaches a probability of 0.3 before calibration."
    caveat = Caveat(code="MISSED_BOUND", text=bound, severity=1)
    empty = explained(nothing_found, caveats=(caveat,)).model_copy(update={"caveats": (caveat,)})
    found = summary_of(empty)
    assert english(found.found)[1] == bound
    assert bound not in english(found.sure)

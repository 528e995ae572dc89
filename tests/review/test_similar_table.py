"""What a page says of training cases: keys, labels, sizes and distances of the record, in both languages, and nothing of other patients."""

from __future__ import annotations

import json
import re

import pytest

from medkd.review.compose_report import compare_with_training
from medkd.review.render_html import render_html
from medkd.review.similar_table import similar_blocks
from medkd.review.texts import in_each
from tests.review.language import in_language, visible
from tests.review.training import COUNT, compared, training_of, with_features

UNLIKE = (40.0, 40.0, 40.0, 40.0)


def codes(report):
    return [caveat.code for caveat in report.caveats]


def test_each_finding_says_its_nearest_training_cases_and_how_far_that_is(report, arrays):
    found = compared(report, arrays)
    (block,), (similar,) = similar_blocks(found), found.similar
    assert in_each(block.label) == {"en": "lesion 1", "zh": "病灶 1"}
    assert [row.case_key for row in block.rows] == [one.case_key for one in similar.cases]
    assert [row.distance for row in block.rows] == [f"{one.distance:.2f}" for one in similar.cases]
    assert {in_each(row.size)["zh"] for row in block.rows} == {"2.75 ml"}
    assert in_each(block.stands)["en"].startswith(f"The nearest of {COUNT} training cases of {COUNT} other patients lies at a distance of")
    assert "layer4" in in_each(block.measure)["zh"]
    assert "within the outline" in in_each(block.measure)["en"]


def test_an_answer_has_labels_and_no_size(of_a_panel):
    found = compared(*of_a_panel)
    _, answer = similar_blocks(found)
    assert {row.size for row in answer.rows} == {"–"}
    assert {in_each(row.label)["en"] for row in answer.rows} <= {"malignant", "no label"}
    assert "over the picture" in in_each(answer.measure)["en"]


def test_an_unlike_case_has_its_caveat_and_an_ordinary_study_has_not(report, arrays):
    assert "FAR_FROM_TRAINING" not in codes(compared(report, arrays))
    found = compared(report, arrays, UNLIKE)
    (caveat,) = [one for one in found.caveats if one.code == "FAR_FROM_TRAINING"]
    assert caveat.text.startswith(
        "Lesion 1: nothing like it was seen in training, measured by features of layer4: the nearest case of another patient"
    )
    assert caveat.text.endswith(f"and 100.0% of {COUNT} training cases lie nearer to theirs.")
    assert caveat.severity == 2


def test_the_same_patient_is_named_and_is_a_grave_caveat(report, arrays):
    found = compared(report, arrays, same_patient=2)
    (block,) = similar_blocks(found)
    assert [in_each(row.whose)["en"] for row in block.rows] == ["this patient"] * 2 + ["another patient"] * 5
    assert {row.case_key for row in block.rows[:2]} == {"case-0", "case-1"}
    assert found.similar[0].compared == COUNT - 2
    (caveat,) = [one for one in found.caveats if one.code == "PATIENT_IN_TRAINING"]
    assert caveat.severity == 3
    assert "PATIENT_IN_TRAINING" not in codes(compared(report, arrays))


def test_an_old_version_and_an_old_explanation_are_compared_with_nothing(report, arrays):
    one = report.explanations[0]
    assert compare_with_training((one,), arrays.explained, (training_of(one),)) == ()
    assert compare_with_training((one,), with_features(arrays, (0, 0, 0, 0)).explained, ()) == ()
    other = one.model_copy(update={"model": one.model.model_copy(update={"weights_digest": "f" * 64})})
    assert compare_with_training((one,), with_features(arrays, (0, 0, 0, 0)).explained, (training_of(other),)) == ()
    assert "similar" not in json.loads(report.canonical_json())
    assert "no features of training cases are kept" in visible(in_language(render_html(report, arrays), "en"))


def test_a_finding_without_numbers_is_compared_with_nothing(report, arrays):
    one = report.explanations[0]
    for row in ((float("nan"), 0, 0, 0), (float("inf"), 0, 0, 0)):
        assert compare_with_training((one,), with_features(arrays, row).explained, (training_of(one),)) == ()


def test_where_nothing_was_found_there_is_no_block(nothing_found, arrays):
    assert 'id="similar"' not in render_html(nothing_found, arrays)


@pytest.mark.parametrize(("language", "heading"), [("en", "Nearest training cases"), ("zh", "最邻近的训练病例")])
def test_the_page_holds_key_label_and_distance_and_no_patient_of_the_training(report, arrays, language, heading):
    found = compared(report, arrays)
    page = render_html(found, arrays)
    text = visible(in_language(page, language))
    assert heading in text
    assert "train-" not in page, "whose the other cases are is in no report"
    assert b"train-" not in found.canonical_json()
    section = page[page.index('id="similar"') :]
    section = section[: section.index("</section>")]
    cells = re.findall(r"<td>(?:<code>)?([^<]+)(?:</code>)?</td>", section)
    near = found.similar[0].cases
    assert [cell for cell in cells if cell.startswith("case-")] == [one.case_key for one in near]
    assert [cell for cell in cells if re.fullmatch(r"\d+\.\d\d", cell)] == [f"{one.distance:.2f}" for one in near]
    assert "<img" not in section


def test_words_of_likeness_name_their_measure(report, arrays):
    text = visible(in_language(render_html(compared(report, arrays), arrays), "en"))
    section = text[text.index("Nearest training cases") :]
    section = section[: section.index("Reliability")]
    assert "does not say that they are alike" in section
    assert len(re.findall("Measured by the Euclidean distance", section)) == 1

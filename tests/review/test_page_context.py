"""What the templates are given of a report."""

from __future__ import annotations

from medkd.review.page_context import (
    GLOSSARY,
    change_words,
    choices_of,
    models_of,
    outlined_anatomy,
    page_context,
    ruler_note,
    structures_of,
)
from medkd.review.texts import texts_of
from tests.explanation.pictures import SPACING, bright_picture


def test_every_name_that_is_given_is_of_the_report(report, arrays):
    found = page_context(report, list(arrays.masks()))
    assert found["volume"] == report.volume
    assert [row["finding"].number for row in found["lesions"]] == [1]
    assert found["outlines"] == ["student", "teacher", "reference"]
    assert found["changes"] == []


def test_students_stand_before_their_teachers(of_a_panel):
    report, _ = of_a_panel
    assert [role for role, _, _ in models_of(report)] == ["student", "teacher"] * 2
    assert structures_of(report) == "lesion"
    assert outlined_anatomy(report) == ""


def test_the_reader_is_asked_what_the_models_answer(report, of_a_panel):
    both, _ = of_a_panel
    assert [value for value, _ in choices_of(report)] == ["present", "absent", "unsure"]
    assert [value for value, _ in choices_of(both.model_copy(update={"explanations": both.explanations[1:]}))] == [
        "benign",
        "malignant",
        "unsure",
    ]


def test_every_term_of_the_glossary_has_its_texts():
    assert all(f"glossary.{term}.{part}" in texts_of("en") for term in GLOSSARY for part in ("term", "meaning"))


def test_lengths_on_pictures_say_where_they_are_measured(report):
    assert ruler_note(report.volume) is None
    assert "0.1 x 0.2 mm at the detector" in ruler_note(bright_picture(spacing=SPACING)[1]).text("en")
    assert "pixels" in ruler_note(bright_picture(spacing=None)[1]).text("en")


def test_changes_say_whether_lesions_were_matched(followed):
    (change,) = followed.prior.changes
    assert change_words(change).text("en").startswith("same place (Dice 0.")
    assert change_words(change.model_copy(update={"number": None})).key == "prior.gone"
    assert change_words(change.model_copy(update={"prior_number": None})).key == "prior.new"

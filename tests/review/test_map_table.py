from __future__ import annotations

import pytest

from data_contracts import Peak
from medkd.review.map_table import figure, highest_words, map_table
from medkd.review.shown import shown_in
from medkd.review.texts import text_of


def english(value):
    return text_of(value, "en")


def test_measures_of_a_map_are_shown_of_both_models_and_agreement_once(report):
    table = map_table(shown_in(report))
    assert [english(heading) for _, heading, _ in table["columns"]] == ["inside", "points", "cosine", "teacher"]
    (row,) = table["rows"]
    assert row["cells"] == ["0.40 / 0.40", "– / –", "0.90", "–"]
    assert (english(row["label"]), row["explainer"], english(row["explains"]), row["failed"]) == (
        "lesion 1",
        "grad_cam",
        "lesion margin, lesion",
        "",
    )


def test_a_failed_test_is_said_and_anatomy_is_no_lesion(report, change):
    shown = shown_in(change(report, failed=("random_lesion",), structures="anatomy"))
    table = map_table(shown, "anatomy")
    (row,) = table["rows"]
    assert english(row["failed"]) == "failed: random_structure"
    assert english(row["explains"]).startswith("structure margin")
    assert not [meaning for _, _, meaning in table["columns"] if "lesion" in english(meaning)]


@pytest.mark.parametrize(
    ("peaks", "said"),
    [
        ((), "nowhere"),
        ((Peak(voxel=(1, 2, 3), position_lps_mm=(1.4, -2.0, 3.0), value=1.0),), "1, -2, 3"),
        ((Peak(voxel=(0, 2, 3), position_lps_mm=None, value=1.0),), "row 2, column 3"),
    ],
)
def test_the_highest_place_is_said_in_the_patient_or_on_the_picture(peaks, said):
    assert english(highest_words(peaks)) == said


def test_a_figure_that_is_none_is_a_dash():
    assert (figure(None), figure(0.126), figure(3.0, 1)) == ("–", "0.13", "3.0")

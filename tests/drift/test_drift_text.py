from __future__ import annotations

import pytest

from medkd.drift.compare_window import DriftSettings
from medkd.drift.drift_text import drift_markdown, drift_rows, p_text, report_sentence
from medkd.drift.follow_windows import follow_windows
from tests.drift.profiles import dated, drawn, reference

SETTINGS = DriftSettings(alarm_rate=0.1, window_studies=10, permutations=499)


@pytest.fixture(scope="module")
def moved():
    return follow_windows(reference(), [*dated(drawn(10, 1)), *dated(drawn(12, 2, attribution=4.0), day=1)], SETTINGS)


def test_a_sentence_says_what_moved_first_which_way_and_what_did_not(moved):
    said = report_sentence(moved)
    assert said.startswith(
        "window 2 (10 studies of 10 patients): drift at an alarm rate of 1 in 10 windows; the reasons (attribution) moved first: cam/mass_beyond_20_mm up from "
    )
    assert "the images did not move (p " in said
    assert "estimated dice" in said


def test_without_drift_it_says_so(moved):
    assert report_sentence(moved.model_copy(update={"windows": moved.windows[:1]})).startswith(
        "window 1 (10 studies of 10 patients): no drift"
    )


def test_too_few_studies_are_counted():
    report = follow_windows(reference(), dated(drawn(7, 1)), SETTINGS)
    assert report_sentence(report) == "too few studies: 7 of 10"


def test_a_row_per_window_and_nobodys_name(moved):
    rows = drift_rows(moved)
    assert [(row["window"], row["first"]) for row in rows] == [(1, ""), (2, "attribution")]
    assert rows[1]["moved"].startswith("cam/mass_beyond_20_mm up")
    text = drift_markdown(moved)
    assert "2 of 10 studies wait" in text
    assert "patient-" not in text + moved.canonical_json().decode()


def test_small_p_values_keep_their_figures():
    assert (p_text(0.5), p_text(0.0123), p_text(0.0005)) == ("0.50", "0.012", "0.0005")

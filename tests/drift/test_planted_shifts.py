"""A student that was really trained, and scanners that change little by little: drift is flagged before Dice has fallen by .02."""

from __future__ import annotations

from statistics import fmean

import pytest

from data_contracts import DriftReference, FeatureFamily
from medkd.drift.compare_window import DriftSettings
from medkd.drift.follow_windows import follow_windows
from tests.drift.phantom_drift import SHIFTS, make_studies, profile_of, trained_student
from tests.drift.profiles import dated

pytestmark = pytest.mark.extended  # a minute, most of it of maps; all shifts are in tests/benchmarks/drift.py
SETTINGS = DriftSettings(alarm_rate=0.05, window_studies=12, permutations=999)


@pytest.fixture(scope="module")
def made():
    loaded = trained_student(marked_share=0.0, cases=120, epochs=4)
    rows = [profile_of(loaded, study) for study in make_studies(60, 1)]
    reference = DriftReference(
        model=loaded.model.uri, weights_digest="0" * 64, measure="dice", patients=tuple(range(60)), studies=tuple(p for p, _ in rows),
        performance=tuple(dice for _, dice in rows),
    )  # fmt: skip
    return loaded, reference


def test_clean_windows_are_clean(made):
    loaded, reference = made
    profiles = [profile_of(loaded, study)[0] for study in make_studies(36, 2)]
    assert [window.alarm for window in follow_windows(reference, dated(profiles), SETTINGS).windows] == [False] * 3


@pytest.mark.parametrize(("name", "strengths"), [("gain", (0.005, 0.01, 0.02)), ("noise", (2.0, 5.0, 10.0))])
def test_a_scanner_that_changes_is_flagged_by_its_images_before_dice_falls(made, name, strengths):
    loaded, reference = made
    rows = [[profile_of(loaded, one) for one in make_studies(12, 30 + k, shift=SHIFTS[name], strength=s)] for k, s in enumerate(strengths)]
    report = follow_windows(reference, dated([profile for row in rows for profile, _ in row]), SETTINGS)
    at = [window.alarm for window in report.windows].index(True)
    assert report.windows[at].first_family is FeatureFamily.IMAGES
    # The labels of the same patients without the shift and with it: no detector saw them.
    before, after = (
        [profile_of(loaded, one)[1] for one in make_studies(30, 9, shift=SHIFTS[name], strength=s)] for s in (0.0, strengths[at])
    )
    assert fmean(before) > 0.3
    assert fmean(before) - fmean(after) < 0.02

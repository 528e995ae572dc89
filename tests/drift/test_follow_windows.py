from __future__ import annotations

from dataclasses import replace

from data_contracts import FeatureFamily
from medkd.drift.compare_window import DriftSettings
from medkd.drift.follow_windows import continues, follow_windows, not_compared
from tests.drift.profiles import dated, drawn, reference

SETTINGS = DriftSettings(alarm_rate=0.1, window_studies=10, permutations=199)


def test_windows_are_complete_in_order_of_time_and_the_rest_waits():
    studies = dated(drawn(27, 1))
    report = follow_windows(reference(), studies[::-1], SETTINGS)
    assert [(one.number, one.studies, one.first_at, one.last_at) for one in report.windows] == [
        (1, 10, studies[0].at, studies[9].at), (2, 10, studies[10].at, studies[19].at),
    ]  # fmt: skip
    assert report.waiting == 7


def test_what_was_compared_is_not_compared_again_and_gives_the_same():
    studies = dated(drawn(30, 1, attribution=1.0))
    first = follow_windows(reference(), studies[:15], SETTINGS)
    later = follow_windows(reference(), studies, SETTINGS, first)
    assert later.windows[0] is first.windows[0]
    assert later == follow_windows(reference(), studies, SETTINGS)
    assert not_compared([one.at for one in studies], first) == list(range(10, 30))


def test_which_family_moved_first_is_kept_over_windows():
    before, after = dated(drawn(10, 1, attribution=4.0)), dated(drawn(10, 2, attribution=4.0, images=9.0, predictions=9.0), day=1)
    report = follow_windows(reference(), [*before, *after], SETTINGS)
    assert report.windows[0].order == (FeatureFamily.ATTRIBUTION,)
    assert report.windows[1].order[0] is report.windows[1].first_family is FeatureFamily.ATTRIBUTION
    assert set(report.windows[1].order) == set(FeatureFamily)


def test_another_reference_or_setting_begins_anew():
    report = follow_windows(reference(), dated(drawn(10, 1)), SETTINGS)
    assert continues(report, reference(), SETTINGS)
    assert not continues(report, reference(seed=9), SETTINGS)
    assert not continues(report, reference(), replace(SETTINGS, alarm_rate=0.2))
    assert not continues(None, reference(), SETTINGS)

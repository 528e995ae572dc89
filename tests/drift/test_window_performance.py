from __future__ import annotations

import pytest

from data_contracts import StudyProfile
from medkd.drift.window_performance import window_performance
from tests.drift.profiles import drawn, reference


def classified(confidence):
    return StudyProfile(images={}, predictions={"confidence": confidence}, attribution={})


def test_accuracy_is_estimated_by_thresholded_confidence():
    studies = tuple(classified(value / 10) for value in range(10))
    known = reference(10, measure="accuracy", studies=studies, performance=(0.0, 0.0, 0.0, *(1.0,) * 7))
    found = window_performance(known, [classified(0.25), classified(0.35), classified(0.9), classified(None)])
    assert (found.method, found.measure, found.reference, found.window) == ("atc", "accuracy", pytest.approx(0.7), pytest.approx(2 / 3))


def test_without_labels_nothing_is_estimated():
    assert window_performance(reference(4, performance=(None,) * 4), drawn(3, 1)) is None
    assert window_performance(reference(4), [StudyProfile(images={}, predictions={}, attribution={})]) is None

"""Differences with intervals over patients, against derivations that use no bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from data_contracts import LossAxis
from medkd.evaluation import paired_loss as module
from medkd.evaluation.paired_loss import PairedFigure, paired_loss


def figure(teacher, student, patients=None, **options):
    named = [f"p{row}" for row in range(len(teacher))] if patients is None else patients
    columns = (np.asarray(values, dtype=float).reshape(len(teacher), -1) for values in (teacher, student))
    return PairedFigure(LossAxis.CASES, "cases", "answers", named, next(columns), next(columns), **options)


def test_the_interval_of_a_mean_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(1)
    teacher, student = rng.uniform(0.5, 1, 40), rng.uniform(0.3, 0.9, 40)
    found = paired_loss(figure(teacher, student), figures=10)
    assert (found.teacher, found.student) == pytest.approx((teacher.mean(), student.mean()))
    for level, (low, high) in ((0.95, (found.low, found.high)), (0.99, (found.simultaneous_low, found.simultaneous_high))):
        expected = stats.ttest_rel(teacher, student).confidence_interval(level)
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.06 * (expected.high - expected.low))


def test_a_share_has_the_interval_of_agresti_and_min():
    teacher = np.array([1] * 18 + [0] * 2)
    student = np.array([1] * 10 + [0] * 8 + [1, 0])
    lost, gained, n = 8, 1, 20
    found = paired_loss(figure(teacher, student, yes_or_no=True), figures=1)
    lost, gained, more = lost + 0.5, gained + 0.5, n + 2
    error = np.sqrt((lost + gained) - (lost - gained) ** 2 / more) / more * np.sqrt(more / (more - 1))
    reach = stats.t.ppf(0.975, n - 1) * error
    assert found.loss == pytest.approx(7 / 20)
    assert (found.low, found.high) == pytest.approx(((lost - gained) / more - reach, (lost - gained) / more + reach), abs=0.03)


@pytest.mark.parametrize(("patients", "sure"), [(5, False), (6, False), (15, True)])
def test_few_patients_who_all_lose_are_not_sure(patients, sure):
    found = paired_loss(figure(np.ones(patients), np.zeros(patients), yes_or_no=True), figures=12)
    assert found.loss == 1
    assert (found.simultaneous_low > 0) is sure


def test_patients_are_drawn_and_not_their_cases():
    rng = np.random.default_rng(2)
    one = rng.uniform(0, 1, 12)
    by_patient = paired_loss(figure(one, one / 2), figures=3)
    copied = [f"p{row // 10}" for row in range(120)]
    many = paired_loss(figure(np.repeat(one, 10), np.repeat(one / 2, 10), copied), figures=3)
    assert (many.loss, many.high - many.low) == pytest.approx((by_patient.loss, by_patient.high - by_patient.low))


def test_of_an_error_more_is_worse():
    found = paired_loss(figure([0.1] * 8, [0.3] * 8, higher_is_better=False), figures=1)
    assert (found.loss, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))


def test_columns_are_summed_after_the_mean_as_bins_of_a_calibration_error_are():
    teacher = [[0.4, 0.0], [-0.2, 0.0], [0.0, 0.3], [0.0, -0.3], [0.2, 0.0]]
    found = paired_loss(figure(teacher, np.zeros((5, 2)), higher_is_better=False), figures=1)
    assert found.teacher == pytest.approx(0.4 / 5)
    assert found.loss == pytest.approx(-0.08)


def test_resamples_in_parts_are_as_many(monkeypatch):
    rng = np.random.default_rng(3)
    own = figure(rng.uniform(0, 1, 30), rng.uniform(0, 1, 30))
    whole = paired_loss(own, figures=1)
    monkeypatch.setattr(module, "_AT_ONCE", 30 * 300)
    parts = paired_loss(own, figures=1)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.1 * (whole.high - whole.low))

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from medkd.evaluation.bootstrap import auc_of, bootstrap_figure, mean_of


def test_the_interval_of_a_mean_agrees_with_scipy():
    values = np.random.default_rng(0).normal(size=200)
    figure = bootstrap_figure(mean_of(values[None]), [str(i) for i in range(200)])
    reference = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", random_state=1).confidence_interval
    assert figure.mean == pytest.approx(values.mean())
    assert figure.low == pytest.approx(reference.low, abs=0.02)
    assert figure.high == pytest.approx(reference.high, abs=0.02)
    assert figure.n == 200


def test_patients_are_resampled_and_not_images():
    one_each = np.random.default_rng(0).normal(size=40)
    repeated = np.repeat(one_each, 10)
    as_patients = bootstrap_figure(mean_of(repeated[None]), [str(i) for i in range(40) for _ in range(10)])
    as_images = bootstrap_figure(mean_of(repeated[None]), [str(i) for i in range(400)])
    assert as_patients.high - as_patients.low > 2.5 * (as_images.high - as_images.low)
    assert as_patients.n == 40


def test_seeds_widen_the_interval():
    values = np.stack([np.full(50, 0.2), np.full(50, 0.8)])
    figure = bootstrap_figure(mean_of(values), [str(i) for i in range(50)], seeds=2)
    assert (figure.low, figure.mean, figure.high) == pytest.approx((0.2, 0.5, 0.8))


def test_undefined_values_are_left_out_and_counted():
    figure = bootstrap_figure(mean_of(np.array([[1.0, np.nan, 3.0]])), ["a", "b", "c"], missing=1)
    assert figure.mean == pytest.approx(2.0)
    assert figure.missing == 1


def test_the_fast_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 9, 60) / 9, rng.integers(0, 2, 60)
    assert auc_of(scores[None], labels)(np.arange(60), 0) == pytest.approx(roc_auc_score(labels, scores))

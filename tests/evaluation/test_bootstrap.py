from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import bootstrap, t
from sklearn.metrics import roc_auc_score

from medkd.evaluation.bootstrap import auc_of, bootstrap_figure, bootstrap_ratio, crossed_estimate, holm, is_defined, mean_of
from medkd.evaluation.evaluate import statistics_of
from medkd.measures.expected_calibration_error import expected_calibration_error


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


def test_the_fast_auc_is_scikit_learns_also_of_a_resample():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 9, (2, 60)) / 9, rng.integers(0, 2, 60)
    for rows in (np.arange(60), rng.integers(0, 60, 60), rng.integers(0, 60, 17)):
        for seed in range(2):
            assert auc_of(scores, labels)(rows, seed) == pytest.approx(roc_auc_score(labels[rows], scores[seed, rows]))
    assert np.isnan(auc_of(scores, labels)(np.flatnonzero(labels == 1), 0))


def test_the_fast_calibration_error_is_the_measure_also_of_a_resample():
    rng = np.random.default_rng(1)
    values, labels = rng.random((2, 60)), rng.integers(0, 2, 60)
    (fast,) = (statistic for name, statistic in statistics_of("test", "probability", values, labels, single=True).items() if name == "ece")
    for rows in (np.arange(60), rng.integers(0, 60, 60), rng.integers(0, 60, 17)):
        for seed in range(2):
            measured = expected_calibration_error(torch.from_numpy(values[seed, rows]), torch.from_numpy(labels[rows]))
            assert fast(rows, seed) == pytest.approx(float(measured), abs=1e-12)


def test_crossed_estimate_agrees_with_the_normal_theory_of_a_crossed_design():
    """Mean over seeds and patients of a_s + b_i: variance sigma_a^2 / S + sigma_b^2 / P, known here."""
    rng = np.random.default_rng(0)
    runs, people = rng.normal(0, 0.5, 6), rng.normal(0, 2.0, 300)
    values = runs[:, None] + people[None]
    estimate = crossed_estimate(mean_of(values), [str(i) for i in range(300)], seeds=6, resamples=2000)
    variance = runs.var(ddof=1) / 6 + people.var(ddof=1) / 300
    freedom = variance**2 / ((runs.var(ddof=1) / 6) ** 2 / 5 + (people.var(ddof=1) / 300) ** 2 / 299)
    reach = t.ppf(0.975, freedom) * np.sqrt(variance)
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.high - estimate.mean == pytest.approx(reach, rel=0.06)
    assert estimate.p == pytest.approx(2 * t.sf(abs(values.mean()) / np.sqrt(variance), freedom), abs=0.03)
    assert estimate.n == 300


def false_alarms(interval, trials=300):
    """Return how often the interval of a difference that is zero leaves zero out: five seeds, sixty patients, both vary."""
    rng = np.random.default_rng(3)
    patients = [str(i) for i in range(60)]
    alarms = 0
    for _ in range(trials):
        values = rng.normal(0, 2.0, 5)[:, None] + rng.normal(0, 2.0, 60)[None] + rng.normal(0, 1.0, (5, 60))
        low, high = interval(mean_of(values), patients)
        alarms += low > 0 or high < 0
    return alarms / trials


@pytest.mark.extended
def test_few_seeds_raise_no_more_false_alarms_than_promised():
    """Five in a hundred are promised; the percentile bootstrap over five seeds raises more."""

    def crossed(statistic, patients):
        estimate = crossed_estimate(statistic, patients, seeds=5, resamples=100)
        return estimate.low, estimate.high

    def percentile(statistic, patients):
        rng, draws = np.random.default_rng(0), []
        for _ in range(200):
            rows, seeds = rng.integers(0, 60, 60), rng.integers(0, 5, 5)
            draws.append(np.mean([statistic(rows, s) for s in seeds]))
        return tuple(np.percentile(draws, [2.5, 97.5]))

    assert false_alarms(crossed) <= 0.075
    assert false_alarms(percentile) > 0.1


def test_one_seed_leaves_the_patients():
    values = np.random.default_rng(0).normal(0.3, 1.0, 200)
    estimate = crossed_estimate(mean_of(values[None]), [str(i) for i in range(200)], seeds=1, resamples=2000)
    low, high = t.interval(0.95, 199, values.mean(), values.std(ddof=1) / np.sqrt(200))
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.02)


def test_no_difference_at_all_is_no_difference():
    estimate = crossed_estimate(mean_of(np.zeros((3, 10))), [str(i) for i in range(10)], seeds=3, resamples=20)
    assert (estimate.mean, estimate.low, estimate.high, estimate.p) == (0, 0, 0, 1)
    nothing = crossed_estimate(mean_of(np.full((2, 4), np.nan)), list("abcd"), seeds=2, resamples=5)
    assert np.isnan(nothing.mean)
    assert nothing.p == 1


def test_holm_by_hand():
    """Sorted .005 .01 .03 .04 times 4 3 2 1, never falling: Holm 1979."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    assert holm([]) == ()


def test_a_ratio_of_means_is_that_of_all_cases_and_its_interval_holds_what_resamples_give():
    rng = np.random.default_rng(0)
    gained, gap = rng.normal(0.3, 0.2, (2, 60)), rng.normal(1.0, 0.2, (2, 60))
    patients = [str(i // 2) for i in range(60)]
    figure = bootstrap_ratio(lambda r, s: gained[s][r].mean(), lambda r, s: gap[s][r].mean(), patients, seeds=2, least=0.1)
    assert figure.mean == pytest.approx(gained.mean() / gap.mean())
    assert figure.low < figure.mean < figure.high
    assert (figure.n, figure.missing) == (30, 0)
    draws = []
    for _ in range(4000):
        who, seeds = rng.integers(0, 30, 30), rng.integers(0, 2, 2)
        rows = np.concatenate([[2 * w, 2 * w + 1] for w in who])
        draws.append(np.mean([gained[s][rows].mean() for s in seeds]) / np.mean([gap[s][rows].mean() for s in seeds]))
    assert [figure.low, figure.high] == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.02)


def test_without_a_gap_there_is_no_ratio():
    assert bootstrap_ratio(lambda _r, _s: 1.0, lambda _r, _s: 0.001, ["a", "b"], least=0.005) is None


def test_what_is_undefined_for_every_case_is_said_to_be_so():
    values = np.array([[np.nan, np.nan], [np.nan, 0.5]])
    assert not is_defined(mean_of(values[:1]), 2, 1)
    assert is_defined(mean_of(values), 2, 2)


@pytest.mark.parametrize("seeds", [1, 3])
def test_many_resamples_at_once_are_what_each_of_them_is(seeds):
    rng = np.random.default_rng(5)
    values = rng.normal(size=(seeds, 40))
    values[:, :3] = np.nan  # undefined under every seed
    values[0, 10:14] = np.nan
    patients = [f"p{index // 3}" for index in range(40)]
    quick = mean_of(values)
    each = bootstrap_figure(lambda rows, seed: quick(rows, seed), patients, seeds=seeds, unit="mm")
    assert bootstrap_figure(quick, patients, seeds=seeds, unit="mm").model_dump() == pytest.approx(each.model_dump(), rel=1e-12)


def test_what_is_undefined_in_every_resample_has_no_figure():
    values = np.full((2, 6), np.nan)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_figure(mean_of(values), list("aabbcc"), seeds=2)

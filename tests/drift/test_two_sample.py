"""The permutation test beside independent derivations: SciPy, loops written out, and the uniform law under no drift."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import energy_distance, ks_2samp, kstest

from medkd.drift.two_sample import adjusted, draw_windows, energy_distances, ks_distances, permutation_p, pooled_ranks, smallest_p


def window_of(studies, inside):
    return (np.arange(studies) >= studies - inside)[None]


@pytest.mark.parametrize("seed", range(5))
def test_ks_is_scipys_with_and_without_ties(seed):
    generator = np.random.default_rng(seed)
    for values in (generator.normal(size=50), generator.integers(0, 4, 50).astype(float)):
        expected = ks_2samp(values[38:], values[:38]).statistic
        assert ks_distances(values, window_of(50, 12))[0] == pytest.approx(expected, abs=1e-12)


def test_undefined_values_count_in_ks_as_a_value_below_all_others():
    values = np.array([1.0, 2.0, 3.0, 4.0, -np.inf, -np.inf])
    assert ks_distances(values, window_of(6, 2))[0] == pytest.approx(1.0)


def test_energy_distance_of_one_feature_is_scipys():
    values = np.random.default_rng(3).normal(size=40)
    expected = energy_distance(values[30:], values[:30]) ** 2  # SciPy's is the root
    assert energy_distances(values[:, None], window_of(40, 10))[0] == pytest.approx(expected)


def test_energy_distance_of_several_features_is_the_sum_over_pairs_written_out():
    values = np.random.default_rng(4).normal(size=(9, 3))
    there, here = values[:6], values[6:]

    def mean(a, b):
        return np.mean([np.sqrt(((x - y) ** 2).sum()) for x, y in itertools.product(a, b)])

    expected = 2 * mean(here, there) - mean(here, here) - mean(there, there)
    assert energy_distances(values, window_of(9, 3))[0] == pytest.approx(expected)


def test_p_of_a_permutation_is_the_share_at_least_as_large():
    assert permutation_p(np.array([3.0, 1.0, 3.0, 5.0])).tolist() == [0.75, 1.0, 0.75, 0.25]


def test_the_smallest_p_is_judged_among_the_smallest_of_all_arrangements():
    first, second = np.array([0.25, 0.5, 0.75, 1.0]), np.array([1.0, 0.25, 0.5, 0.75])
    assert smallest_p(first, second).tolist() == [0.5, 0.5, 0.75, 1.0]  # of .25, .25, .5, .75
    assert adjusted(0.5, np.minimum(first, second)) == 0.75


def test_patients_go_as_a_whole_and_as_many_as_were_observed():
    patients = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4])
    windows = draw_windows(patients, patients >= 3, 200, 0)
    assert windows[0].tolist() == (patients >= 3).tolist()
    for row in windows:
        inside = set(patients[row])
        assert len(inside) == 2
        assert not inside & set(patients[~row])
    assert len({tuple(row) for row in windows}) == 10  # 5 choose 2


def family_p(generator, patients):
    studies = patients.repeat(2)  # two studies of each, which are alike
    values = (generator.normal(size=(len(patients), 3))[:, None] + 0.1 * generator.normal(size=(len(patients), 2, 3))).reshape(-1, 3)
    windows = draw_windows(studies, studies >= len(patients) - 8, 199, int(generator.integers(2**31)))
    largest = np.max([ks_distances(column, windows) for column in values.T], axis=0)
    return smallest_p(permutation_p(energy_distances(pooled_ranks(values), windows)), permutation_p(largest))[0]


def test_p_is_uniform_without_drift_though_a_patient_has_two_studies():
    generator = np.random.default_rng(11)
    found = np.array([family_p(generator, np.arange(40)) for _ in range(400)])
    assert kstest(found, "uniform").pvalue > 0.01
    # Exact: no more small ones than there may be, within 3.5 standard deviations of a binomial count.
    for level in (0.05, 0.2):
        assert (found <= level).sum() <= 400 * level + 3.5 * np.sqrt(400 * level * (1 - level))


def test_ranks_forget_units():
    values = np.array([[1.0], [10.0], [1e6], [-np.inf]])
    assert pooled_ranks(values)[:, 0].tolist() == [0.5, 0.75, 1.0, 0.25]

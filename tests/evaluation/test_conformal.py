"""The bound holds on patients that it was not chosen on, and is not empty."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import DataError
from medkd.evaluation.conformal import bound_missed

SPLITS = 500


def planted(patients, seed):
    """Return lesions' probabilities by patient: one to five each, some patients' harder than others'."""
    random = np.random.default_rng(seed)
    difficulty = random.normal(0, 1, patients)
    return [1 / (1 + np.exp(-random.normal(1.5 - one, 1.2, random.integers(1, 6)))) for one in difficulty]


def missed(scores, threshold):
    """Return the mean share of lesions below a threshold over patients."""
    return float(np.mean([(one < threshold).mean() for one in scores]))


def by_hand(scores, alpha):
    """Return the highest score that holds the bound, tried one by one."""
    n = len(scores)
    return max(t for t in np.concatenate(scores) if n / (n + 1) * missed(scores, t) + 1 / (n + 1) <= alpha)


@pytest.mark.parametrize(("patients", "alpha"), [(40, 0.1), (100, 0.1), (60, 0.25)])
def test_over_500_random_splits_the_expected_share_of_missed_lesions_is_bounded_and_nearly_used(patients, alpha):
    """Half of the patients choose the threshold, the others are missed by it."""
    everybody, risks = planted(2 * patients, seed=7), []
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(len(everybody))
        chosen, held = ([everybody[row] for row in rows] for rows in (order[:patients], order[patients:]))
        bound = bound_missed(chosen, np.zeros(3), unit="lesion", alpha=alpha)
        risks.append(missed(held, bound.threshold))
    error = np.std(risks) / np.sqrt(SPLITS)
    assert np.mean(risks) <= alpha + 3 * error
    # Angelopoulos et al., theorem 2: the risk lies at most 2/(n + 1) below; losses of several lesions jump by less than 1.
    assert np.mean(risks) >= alpha - 2 / (patients + 1) - 3 * error


def test_it_holds_for_fresh_patients_too_who_share_nothing_with_those_it_was_chosen_on():
    risks = [
        missed(planted(200, 10_000 + draw), bound_missed(planted(30, draw), np.zeros(1), unit="lesion").threshold) for draw in range(SPLITS)
    ]
    assert 0.03 < np.mean(risks) <= 0.1 + 3 * np.std(risks) / np.sqrt(SPLITS)


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_the_highest_that_the_formula_allows(seed):
    scores = planted(25, seed)
    bound = bound_missed(scores, np.zeros(1), unit="lesion", alpha=0.15)
    assert bound.threshold == by_hand(scores, 0.15)
    assert bound.missed == pytest.approx(missed(scores, bound.threshold))
    assert (bound.patients, bound.units) == (25, sum(map(len, scores)))


def test_equal_probabilities_are_found_together_or_not_at_all():
    scores = [np.array([0.5])] * 10 + [np.array([0.9])] * 10
    assert bound_missed(scores, np.zeros(1), unit="lesion").threshold == 0.5


def test_nineteen_patients_may_miss_one_of_them():
    """(19 · 1/19 + 1) / 20 is a tenth exactly: the second lowest of nineteen scores is allowed, the third is not."""
    scores = [np.array([one / 100]) for one in range(1, 20)]
    assert bound_missed(scores, np.zeros(1), unit="positive").threshold == 0.02


@pytest.mark.parametrize(("alpha", "least"), [(0.1, 9), (0.05, 19), (0.3, 3)])
def test_with_too_few_patients_there_is_no_number_but_a_reason(alpha, least):
    few, enough = ([np.array([0.7, 0.8])] * count + [np.zeros(0)] * 30 for count in (least - 1, least))
    bound = bound_missed(few, np.zeros(1), unit="lesion", alpha=alpha)
    assert (bound.threshold, bound.missed, bound.patients) == (None, None, least - 1)
    assert bound.reason == f"{least - 1} validation patients with a lesion are too few: a bound of {alpha:g} needs {least}"
    assert bound_missed(enough, np.zeros(1), unit="lesion", alpha=alpha).threshold == 0.7


def test_what_the_threshold_costs_is_said():
    scores = [np.array([0.6])] * 20
    assert bound_missed(scores, np.array([0.1, 0.6, 0.7, 0.2]), unit="lesion").false_positives == 0.5
    assert bound_missed(scores, np.zeros(0), unit="lesion").false_positives is None


def test_probabilities_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="finite"):
        bound_missed([np.array([np.nan])] * 20, np.zeros(1), unit="lesion")

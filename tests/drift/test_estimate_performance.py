from __future__ import annotations

import numpy as np
import pytest

from medkd.drift.estimate_performance import atc_threshold, difference_of_confidence, predicted_accuracy


def test_on_the_reference_itself_the_estimate_is_the_accuracy():
    generator = np.random.default_rng(0)
    scores = generator.uniform(size=200)
    correct = generator.uniform(size=200) < scores
    assert predicted_accuracy(scores, atc_threshold(scores, correct)) == pytest.approx(correct.mean())


def test_where_confidence_is_calibrated_the_estimate_follows_a_shift():
    """Garg et al. 2022: scores of the target are lower, answers are right with a chance that the score decides by a step."""
    scores = np.linspace(0, 1, 1001)
    threshold = atc_threshold(scores, scores >= 0.3)
    shifted = scores**2
    assert predicted_accuracy(shifted, threshold) == pytest.approx((shifted >= 0.3).mean(), abs=0.002)


def test_with_every_answer_wrong_no_score_is_high_enough():
    assert predicted_accuracy([0.1, 0.9], atc_threshold([0.1, 0.9], [False, False])) == 0


def test_the_difference_of_confidence_is_taken_off():
    assert difference_of_confidence(0.8, [0.9, 0.7], [0.6, 0.4]) == pytest.approx(0.5)
    assert difference_of_confidence(0.2, [0.9], [0.1]) == 0

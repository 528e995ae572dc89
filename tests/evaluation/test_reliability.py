"""How far off probabilities are said to be, counted by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from medkd.evaluation.choose_calibration import Samples
from medkd.evaluation.reliability import BINS, reliability_of
from medkd.measures.expected_calibration_error import expected_calibration_error
from tests.evaluation.drawn import samples


def test_the_error_of_two_classes_is_the_measure_of_that_name():
    own = samples(lambda logits: logits * 3)
    by_measure = expected_calibration_error(torch.from_numpy(softmax(own.logits, axis=1)[:, 1]), torch.from_numpy(own.labels))
    assert reliability_of(own.logits, own).ece.mean == pytest.approx(float(by_measure), abs=1e-9)


def test_the_error_of_three_classes_is_that_of_the_predicted_class():
    own = samples(lambda logits: logits * 2, classes=3)
    found = reliability_of(own.logits, own)
    probability = np.exp(log_softmax(own.logits, axis=1))
    confidence, right = probability.max(1), probability.argmax(1) == own.labels
    edges, by_hand = np.linspace(0, 1, 16), 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        by_hand += abs(right[inside].sum() - confidence[inside].sum()) / len(confidence)
    assert found.ece.mean == pytest.approx(by_hand, abs=1e-9)
    assert sum(one.count for one in found.bins) == len(own.labels)
    assert sum(one.count * abs(one.accuracy - one.confidence) for one in found.bins) / len(own.labels) == pytest.approx(by_hand)


def test_a_bin_has_the_mean_confidence_the_share_that_is_right_and_its_count():
    """Three patients: two answers of .9, one of them right, and one of .6 that is right."""
    logits = np.log([[0.1, 0.9], [0.1, 0.9], [0.6, 0.4]])
    found = reliability_of(logits, Samples(logits, np.array([1, 0, 0]), np.arange(3), ("a", "b", "c")))
    assert [(one.confidence, one.accuracy, one.count) for one in found.bins] == [
        (pytest.approx(0.6), 1.0, 1),
        (pytest.approx(0.9), 0.5, 2),
    ]
    assert found.ece.mean == pytest.approx((abs(1 - 0.6) + 2 * abs(0.5 - 0.9)) / 3)
    assert found.ece.n == 3


def test_the_interval_is_over_patients_and_not_over_their_samples():
    own = samples(patients=30, each=4)
    # The same 120 samples, each of a patient of its own.
    alone = Samples(own.logits, own.labels, np.arange(120), tuple(map(str, range(120))))
    of_patients, of_samples = (reliability_of(own.logits, one).ece for one in (own, alone))
    assert (of_patients.n, of_samples.n) == (30, 120)
    assert of_patients.mean == pytest.approx(of_samples.mean)
    assert (of_patients.low, of_patients.high) != (of_samples.low, of_samples.high)
    # One patient has everything: drawing it again gives the same figure.
    one = reliability_of(own.logits, Samples(own.logits, own.labels, np.zeros(120, dtype=np.int64), ("p",))).ece
    assert (one.low, one.high) == (pytest.approx(one.mean), pytest.approx(one.mean))


def test_what_is_sure_and_right_is_one_bin_without_a_gap():
    logits = np.array([[-60.0, 60.0], [60.0, -60.0]])
    found = reliability_of(logits, Samples(logits, np.array([1, 0]), np.arange(2), ("a", "b")))
    assert found.ece.mean == 0
    assert [(one.confidence, one.accuracy, one.count) for one in found.bins] == [(1.0, 1.0, 2)]
    assert BINS == 15

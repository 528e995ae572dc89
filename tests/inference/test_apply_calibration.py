"""Probabilities as they are stated: without torch, and the softmax where there is no calibration."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import softmax

from data_contracts import Calibration, ConformalBound
from medkd.inference.apply_calibration import apply, finding_probability, reaches_threshold


def calibration(scales, biases, threshold=None, method="vector"):
    bound = ConformalBound(alpha=0.1, unit="lesion", patients=9, units=9, threshold=threshold, reason="" if threshold else "none")
    digests = {"weights_digest": "a" * 64, "cohort_digest": "b" * 64}
    shared = {"subset": "student_validation", "patients": 9, "cases": 9, "samples": 9, "bound": bound}
    return Calibration(method=method, scales=scales, biases=biases, **digests, **shared)


LOGITS = np.random.default_rng(0).normal(0, 3, (4, 3, 5, 6)).astype(np.float32)


def test_without_a_calibration_it_is_the_softmax():
    np.testing.assert_allclose(apply(LOGITS, None), softmax(LOGITS, axis=1), rtol=1e-6)
    unchanged = calibration((1.0,) * 3, (0.0,) * 3, method="none")
    np.testing.assert_array_equal(apply(LOGITS, unchanged), apply(LOGITS, None))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_each_class_has_its_scale_and_bias_along_any_axis(axis):
    moved = np.moveaxis(LOGITS, 1, axis)
    by_hand = [LOGITS[:, k] * scale + bias for k, (scale, bias) in enumerate(((0.5, 0.1), (2.0, -0.4), (1.5, 0.3)))]
    found = apply(moved, calibration((0.5, 2.0, 1.5), (0.1, -0.4, 0.3)), axis=axis)
    np.testing.assert_allclose(np.moveaxis(found, axis, 1), softmax(np.stack(by_hand, 1), axis=1), rtol=1e-5)
    assert found.dtype == np.float32


def test_a_temperature_keeps_the_answer():
    found = apply(LOGITS, calibration((0.4,) * 3, (0.0,) * 3, method="temperature"))
    np.testing.assert_array_equal(found.argmax(1), LOGITS.argmax(1))


def test_the_threshold_is_held_against_probabilities_before_calibration():
    own = calibration((0.1, 5.0, 3.0), (9.0, 0.0, -9.0), threshold=0.6)
    np.testing.assert_array_equal(reaches_threshold(LOGITS, own), 1 - softmax(LOGITS.astype(float), axis=1)[:, 0] >= 0.6)
    assert reaches_threshold(LOGITS, calibration((1.0,) * 3, (0.0,) * 3)) is None


def test_a_tiny_probability_of_a_finding_is_not_rounded_away():
    assert finding_probability(np.array([[60.0, 0.0, 0.0]]))[0] == pytest.approx(2 * np.exp(-60), rel=1e-9)


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="expected logits of 2 classes along axis 1, got shape"):
        apply(LOGITS, calibration((1.0, 1.0), (0.0, 0.0)))


def test_it_asks_for_no_torch():
    code = "import sys; import medkd.inference.apply_calibration, medkd.inference.calibration_text; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

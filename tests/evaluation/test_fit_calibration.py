"""Fitted temperatures and scales are those that another optimiser, or a formula, finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from data_contracts import DataError
from medkd.evaluation.fit_calibration import CONSTANT, SEPARATED, UNRELATED, fit_temperature, fit_vector


def drawn(samples=400, classes=3, temperature=2.5, seed=0):
    """Return logits, and labels drawn from their softmax at a temperature: that temperature calibrates them."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 4, (samples, classes))
    shares = np.exp(log_softmax(logits / temperature, axis=1))
    return logits, np.array([random.choice(classes, p=row) for row in shares])


def mean_loss(logits, labels):
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_temperature_is_the_one_that_a_search_of_the_loss_finds(classes):
    logits, labels = drawn(classes=classes)
    found = minimize_scalar(lambda t: mean_loss(logits / t, labels), bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(logits, labels).temperature == pytest.approx(found.x, abs=1e-4)
    assert fit_temperature(logits, labels).reason == ""


def test_a_planted_temperature_is_found_again():
    assert fit_temperature(*drawn(samples=20_000, temperature=2.5)).temperature == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize(("margin", "right"), [(4.0, 0.7), (1.0, 0.9), (2.0, 0.6)])
def test_where_all_margins_are_alike_the_temperature_is_known(margin, right):
    """Every case is answered with one margin, and a share of them is right: softmax(margin / T) is that share."""
    count = 100
    labels = np.arange(count) % 2
    wrong = np.arange(count) >= round(count * right)
    logits = np.zeros((count, 2))
    logits[np.arange(count), np.where(wrong, 1 - labels, labels)] = margin
    assert fit_temperature(logits, labels).temperature == pytest.approx(margin / np.log(right / (1 - right)), rel=1e-6)


def test_what_all_classes_share_changes_nothing():
    logits, labels = drawn()
    common = np.random.default_rng(3).normal(0, 100, (len(logits), 1))
    assert fit_temperature(logits + common, labels).temperature == pytest.approx(fit_temperature(logits, labels).temperature, rel=1e-6)


def test_separable_unrelated_and_constant_logits_are_bounded_with_their_reason():
    labels = np.arange(20) % 2
    right = np.eye(2)[labels]
    separated, unrelated, constant = (fit_temperature(one, labels) for one in (right, 1 - right, np.zeros((20, 2))))
    assert (separated.temperature, separated.reason) == (pytest.approx(0.05), SEPARATED)
    assert (unrelated.temperature, unrelated.reason) == (pytest.approx(20), UNRELATED)
    assert (constant.method, constant.reason) == ("none", CONSTANT)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda logits, labels: (logits, labels * 0), "CALIBRATION_ONE_CLASS"),
        (lambda logits, labels: (np.where(np.arange(3) == 1, np.nan, logits), labels), "CALIBRATION_NOT_FINITE"),
        (lambda logits, labels: (logits, labels + 1), "CALIBRATION_LABELS"),
        (lambda logits, labels: (logits, labels - 1), "CALIBRATION_LABELS"),
        (lambda logits, labels: (logits[:5], labels), "CALIBRATION_LABELS"),
        (lambda logits, labels: (logits[:0], labels[:0]), "CALIBRATION_LABELS"),
    ],
)
@pytest.mark.parametrize("fit", [fit_temperature, fit_vector])
def test_what_nothing_can_be_fitted_on_is_refused_in_one_sentence(fit, change, code):
    with pytest.raises(DataError, match=r"^expected .*[^.]$") as caught:
        fit(*change(*drawn()))
    assert caught.value.code == code


@pytest.mark.parametrize("classes", [2, 3])
def test_scales_and_biases_reach_the_loss_that_another_optimiser_reaches(classes):
    logits, labels = drawn(classes=classes, temperature=1.0, seed=1)
    logits = logits * np.linspace(0.5, 2, classes) + np.linspace(-1, 1, classes)
    found = minimize(
        lambda p: mean_loss(logits * p[:classes] + p[classes:], labels),
        np.array([1.0] * classes + [0.0] * classes),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 20_000, "maxfev": 20_000},
    )
    fitted = fit_vector(logits, labels)
    assert mean_loss(fitted(logits), labels) == pytest.approx(found.fun, abs=1e-5)
    assert sum(fitted.biases) == pytest.approx(0, abs=1e-12)
    assert fitted.temperature == 1.0


def test_the_same_samples_give_the_same_bits():
    assert fit_vector(*drawn()) == fit_vector(*drawn())
    assert fit_temperature(*drawn()) == fit_temperature(*drawn())

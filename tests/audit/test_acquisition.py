"""Settings of a scanner do what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.audit.acquisition import SETTINGS, contrast, gain, gamma, kernel, noise, spacing

PICTURE = np.random.default_rng(0).uniform(0.1, 0.7, (40, 30)).astype(np.float32)
RNG = np.random.default_rng(1)


@pytest.mark.parametrize("name", SETTINGS)
def test_shape_and_range_stay(name):
    for shape in ((40, 30), (5, 20, 20)):
        picture = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
        changed = SETTINGS[name](picture, RNG)
        assert changed.shape == shape
        assert not np.array_equal(changed, picture)
        assert changed.min() >= 0
        assert changed.max() <= 1


def test_gain_gamma_and_contrast_by_hand():
    assert gain(PICTURE, RNG) == pytest.approx(np.minimum(1.2 * PICTURE, 1))
    assert gamma(np.full((2, 2), 0.5, np.float32), RNG) == pytest.approx(0.5**0.8)
    assert contrast(PICTURE, RNG).std() == pytest.approx(1.2 * PICTURE.std(), rel=0.01)


def test_a_softer_kernel_and_larger_pixels_take_detail_and_noise_adds_some():
    assert kernel(PICTURE, RNG).std() < 0.7 * PICTURE.std()
    assert spacing(PICTURE, RNG).std() < 0.9 * PICTURE.std()
    assert (noise(PICTURE, RNG) - PICTURE).std() == pytest.approx(0.03, rel=0.1)

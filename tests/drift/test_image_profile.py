"""Features of images beside planted noise, blur and shading of a known amount."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.filters import gaussian

from medkd.drift.image_profile import image_profile, image_tags, noise, shading, sharpness
from tests.drift.phantom_drift import GEOMETRY, volume_of


def white(sigma, *, seed=0):
    return sigma * torch.randn(6, 1, 64, 64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sigma", [0.02, 0.5])
def test_planted_noise_is_measured_on_a_slope_with_an_edge(sigma):
    slope = torch.linspace(0, 1, 64).expand(6, 1, 64, 64).clone()
    slope[..., 30:] += 5
    assert noise(slope + white(sigma)) == pytest.approx(sigma, rel=0.08)


def test_air_that_the_window_cuts_off_is_no_measurement_of_noise():
    image = white(0.1)
    image[..., :40] = -1.0
    assert noise(image) == pytest.approx(0.1, rel=0.1)
    assert noise(torch.zeros(2, 1, 8, 8)) is None
    assert noise(torch.zeros(2, 1, 2, 8)) is None


def test_blur_makes_it_less_sharp_and_a_gain_does_not():
    image = white(1.0)
    blurred = torch.from_numpy(np.stack([gaussian(one[0].numpy(), 1.5) for one in image]))[:, None]
    assert sharpness(blurred) < 0.3 * sharpness(image)
    assert sharpness(3 * image + 7) == pytest.approx(sharpness(image), rel=1e-4)
    assert sharpness(torch.ones(1, 1, 8, 8)) is None


def test_a_planted_field_is_found_as_numpys_least_squares_finds_it():
    rows, columns = np.meshgrid(np.linspace(-1, 1, 48), np.linspace(-1, 1, 32), indexing="ij")
    field = 10 + 0.5 * rows - 0.25 * columns + 0.4 * (rows**2 + columns**2)
    field[:10] = -5  # background, below the mean
    found = shading(torch.from_numpy(np.stack([field, field]))[:, None])
    bright = field > field.mean()
    terms = np.stack([np.ones(bright.sum()), rows[bright], columns[bright], (rows**2 + columns**2)[bright] / 2], 1)
    expected = np.linalg.lstsq(terms, field[bright], rcond=None)[0][1:]
    assert list(found.values()) == pytest.approx(list(expected), abs=1e-6)
    assert found["shading_rows"] == pytest.approx(0.5, abs=1e-6)
    assert found["shading_radial"] == pytest.approx(0.8, abs=1e-6)
    assert set(shading(torch.ones(1, 1, 8, 8)).values()) == {None}


def test_geometry_is_in_mm_and_quantiles_are_numpys():
    image = white(1.0)
    found = image_profile(image, GEOMETRY)
    assert (found["spacing_slice_mm"], found["spacing_in_plane_mm"], found["field_of_view_mm"], found["slices"]) == (
        4,
        3,
        pytest.approx(192),
        12,
    )
    assert found["quantile_75"] == pytest.approx(np.quantile(image.numpy(), 0.75), abs=1e-5)
    assert found["spread"] == pytest.approx(float(image.std()))


def test_tags_are_modality_unit_and_acquisition_and_no_key():
    assert image_tags(volume_of("patient-key"), None) == {"modality": "CT", "unit": "HU"}

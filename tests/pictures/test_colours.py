from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medkd.pictures.colours import NEGATIVE, POSITIVE, blend, grey, heat, heat_png, png


def test_a_window_is_the_grey_scale():
    values = np.array([[-10.0, 0.0, 50.0, 100.0, 200.0]], dtype=np.float32)
    assert grey(values, (0.0, 100.0)).tolist() == [[0, 0, 128, 255, 255]]


def test_heat_is_orange_above_zero_blue_below_and_nothing_at_it():
    pixels = heat(np.array([[1.0, -1.0, 0.0, 0.5, 9.0]], dtype=np.float32), 1.0)
    assert pixels[0, 0, :3].tolist() == list(POSITIVE)
    assert pixels[0, 1, :3].tolist() == list(NEGATIVE)
    assert pixels[0, :, 3].tolist() == [215, 215, 0, pytest.approx(215 * 0.5**0.7, abs=1), 215]


def test_a_map_of_zeros_has_no_heat():
    assert not heat(np.zeros((2, 2), dtype=np.float32), 0.0)[..., 3].any()


def test_a_map_that_failed_is_pale_and_hatched():
    values = np.ones((8, 8), dtype=np.float32)
    sound, failed = heat(values, 1.0), heat(values, 1.0, failed=True)
    assert np.ptp(failed[0, 0, :3].astype(int)) < np.ptp(sound[0, 0, :3].astype(int)) / 3
    assert len(np.unique(sound[..., 3])) == 1
    assert len(np.unique(failed[..., 3])) == 2


def test_what_is_laid_over_covers_as_much_as_it_is_opaque():
    base = np.array([[100, 100, 100]], dtype=np.uint8)
    over = np.array([[[200, 0, 0, 0], [200, 0, 0, 255], [200, 0, 0, 51]]], dtype=np.uint8)
    assert blend(base, over)[0].tolist() == [[100, 100, 100], [200, 0, 0], [120, 80, 80]]


def test_the_same_pixels_give_the_same_bytes_and_come_back():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert png(pixels) == png(pixels.copy())
    assert (np.asarray(Image.open(io.BytesIO(png(pixels)))) == pixels).all()


@pytest.mark.parametrize("failed", [False, True])
def test_a_map_in_few_bytes_has_the_same_colours_in_steps(failed):
    values = np.random.default_rng(0).normal(size=(16, 20)).astype(np.float32)
    payload = heat_png(values, 2.0, failed=failed)
    assert payload == heat_png(values.copy(), 2.0, failed=failed)
    found = np.asarray(Image.open(io.BytesIO(payload)).convert("RGBA")).astype(int)
    stepped = np.rint(np.clip(values / 2.0, -1, 1) * 31) / 31
    expected = heat(stepped.astype(np.float32), 1.0, failed=failed).astype(int)
    seen = expected[..., 3] > 0
    assert np.abs(found - expected)[seen].max() <= 1
    assert (found[~seen][:, 3] == 0).all()


def test_what_is_no_number_is_transparent():
    payload = heat_png(np.array([[np.nan, 1.0]], np.float32), 1.0)
    assert np.asarray(Image.open(io.BytesIO(payload)).convert("RGBA"))[0, :, 3].tolist() == [0, 215]

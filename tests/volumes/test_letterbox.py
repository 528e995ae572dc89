from __future__ import annotations

import numpy as np
import pytest

from medkd.volumes.letterbox import from_letterbox, inner_size, letterbox, letterbox_mask


def test_every_pixel_is_the_mean_of_those_it_stands_for():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48), dtype=np.uint8)
    image, valid = letterbox(pixels, (16, 24))
    means = pixels.reshape(16, 2, 24, 2).mean((1, 3))
    assert np.abs(image - means).max() <= 1  # rounded along each axis
    assert valid.all()
    precise, _ = letterbox(pixels.astype(np.float32), (16, 24))
    np.testing.assert_allclose(precise, means, atol=1e-4)


@pytest.mark.parametrize(("shape", "inner"), [((10, 40), (4, 16)), ((40, 10), (16, 4)), ((16, 16), (16, 16)), ((1, 400), (1, 16))])
def test_the_aspect_is_kept_and_the_rest_is_padded_and_marked(shape, inner):
    image, valid = letterbox(np.full(shape, 7, np.uint8), (16, 16))
    assert inner_size(shape, (16, 16)) == inner
    assert valid.sum() == inner[0] * inner[1]
    assert (image[valid == 1] == 7).all()
    assert not image[valid == 0].any()


def test_a_mask_holds_what_is_more_than_half_inside():
    mask = np.zeros((8, 8), np.uint8)
    mask[:3] = 5  # three of the four rows that the first row of the small one stands for
    assert letterbox_mask(mask, (2, 2)).tolist() == [[1, 1], [0, 0]]


def test_a_map_comes_back_to_where_it_was():
    shape = (30, 60)
    ramp = np.linspace(0, 1, 60, dtype=np.float32)[None].repeat(30, 0)
    small, _ = letterbox(ramp, (16, 16))
    back = from_letterbox(small, shape)
    assert back.shape == shape
    assert np.abs(back - ramp).max() < 0.05
    # Padding is no part of the picture: what stands there does not come back.
    small[inner_size(shape, (16, 16))[0] :] = 100
    assert np.array_equal(from_letterbox(small, shape), back)

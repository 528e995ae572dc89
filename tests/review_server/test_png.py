from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medkd.review_server.png import encode_png


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (64, 33), (5, 7, 4)])
def test_what_others_read_is_what_was_written(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(pixels)))), pixels)
    turned = pixels[::-1, ::-1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(turned)))), turned)


def test_the_same_pixels_give_the_same_bytes_and_an_even_slice_few():
    even = np.full((512, 512), 40, np.uint8)
    assert encode_png(even) == encode_png(even.copy())
    assert len(encode_png(even)) < 5000

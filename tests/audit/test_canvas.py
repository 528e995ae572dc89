"""Places on a picture: corners without a lesion, rectangles, and strokes thinner than a pixel."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.audit.canvas import FINE, Canvas, paint


def canvas(lesion=(slice(2, 10), slice(2, 10))):
    mask, valid = np.zeros((40, 60), dtype=bool), np.ones((40, 60), dtype=bool)
    mask[lesion] = True
    valid[:, 50:] = False
    return Canvas(mask, valid)


def test_the_inner_rectangle_and_unit_are_of_the_real_pixels():
    box = canvas().inner
    assert (box.top, box.left, box.bottom, box.right) == (0, 0, 40 * FINE, 50 * FINE)
    assert canvas().unit == pytest.approx(40 * FINE / 100)


def test_a_corner_with_a_lesion_is_left_for_the_next():
    order = ("top left", "bottom right", "top right", "bottom left")
    top, left = canvas().free_corner(30, 30, order)
    assert top > 20 * FINE
    assert left > 30 * FINE
    assert canvas((slice(20, 22), slice(20, 22))).free_corner(30, 30, order)[0] < 10 * FINE


def test_without_a_lesion_its_place_is_the_middle():
    box = Canvas(np.zeros((30, 30), dtype=bool), np.ones((30, 30), dtype=bool)).lesion_box()
    assert (box.top, box.bottom) == (10 * FINE, 20 * FINE)


def test_a_stroke_of_a_quarter_pixel_covers_a_quarter():
    layer = paint(canvas(), lambda opacity, _: opacity.line((0, 80, 199, 80), fill=255, width=1))
    assert layer.opacity[20, 5] == pytest.approx(1 / FINE)
    assert layer.value[20, 5] == pytest.approx(1.0)
    assert not layer.opacity[20, 50:].any()


def test_nothing_is_painted_on_a_lesion_or_near_it():
    layer = paint(canvas(), lambda opacity, _: opacity.rectangle((0, 0, 999, 999), fill=255))
    assert not layer.opacity[1:11, 2:10].any()
    assert layer.opacity[20:, :50].all()

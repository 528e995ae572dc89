from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from medkd.pictures.draw import outline, write_over


def drawn(size=(40, 60)):
    sheet = Image.new("RGB", size[::-1])
    return sheet, ImageDraw.Draw(sheet)


@pytest.mark.parametrize("zoom", [1, 3])
def test_an_outline_runs_round_its_mask_at_its_corner(zoom):
    mask = np.zeros((12, 14), dtype=np.uint8)
    mask[4:8, 5:11] = 1
    sheet, draw = drawn((60, 80))
    outline(draw, mask, (7, 3), "#ffffff", zoom=zoom)
    rows, columns = np.nonzero(np.asarray(sheet)[..., 0])
    assert (rows.min() + 1.5, rows.max() + 0.5) == pytest.approx((3 + 4 * zoom, 3 + 8 * zoom), abs=2)
    assert (columns.min() + 1.5, columns.max() + 0.5) == pytest.approx((7 + 5 * zoom, 7 + 11 * zoom), abs=2)
    assert not np.asarray(sheet)[3 + 6 * zoom, 7 + 8 * zoom].any()


def test_a_mask_at_the_edge_has_a_closed_outline_and_an_empty_one_none():
    sheet, draw = drawn()
    outline(draw, np.ones((10, 10), dtype=np.uint8), (5, 5), "#ffffff", zoom=1)
    assert np.asarray(sheet)[10, 4:7, 0].any()
    assert np.asarray(sheet)[10, 13:16, 0].any()
    sheet, draw = drawn()
    outline(draw, np.zeros((10, 10), dtype=np.uint8), (5, 5), "#ffffff", zoom=1)
    assert not np.asarray(sheet).any()


def test_a_warning_covers_the_upper_edge_of_its_picture_only():
    sheet, draw = drawn((60, 200))
    write_over(draw, "failed: randomisation", (10, 5), 150)
    written = np.asarray(sheet).any(-1)
    assert written[5:27, 10:160].all()
    assert not written[27:].any()
    assert not written[:, 160:].any()


def test_no_warning_draws_nothing():
    sheet, draw = drawn()
    write_over(draw, "", (0, 0), 30)
    assert not np.asarray(sheet).any()

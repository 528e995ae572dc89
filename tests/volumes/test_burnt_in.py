"""Letters and crosses are found where they were drawn, and tissue is not; what is painted over looks like what is round it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from medkd.volumes.burnt_in import find_burnt_in, paint_over, without_burnt_in


@pytest.fixture(scope="module")
def tissue():
    rng = np.random.default_rng(0)
    rows = np.arange(160)[:, None]
    return np.clip(70 + 25 * np.sin(rows / 9) + rng.normal(0, 8, (160, 200)), 0, 255).astype(np.uint8)


def marked(tissue, text="", cross=None, size=14):
    image = Image.fromarray(tissue)
    draw = ImageDraw.Draw(image)
    if text:
        draw.text((40, 120), text, fill=230, font=ImageFont.load_default(size))
    if cross:
        row, column = cross
        draw.line((column - 4, row, column + 4, row), fill=240)
        draw.line((column, row - 4, column, row + 4), fill=240)
    return np.asarray(image)


def test_in_tissue_alone_nothing_is_found_and_nothing_is_changed(tissue):
    assert not find_burnt_in(tissue).any()
    assert without_burnt_in(tissue) is tissue


@pytest.mark.parametrize(("text", "size"), [("MAMA DIREITA", 13), ("D 12.5 MM", 16), ("BREAST", 20)])
def test_a_line_of_letters_is_found_and_painted_over(tissue, text, size):
    picture = marked(tissue, text, size=size)
    drawn = picture.astype(int) - tissue > 60
    found = find_burnt_in(picture)
    assert (found & drawn).sum() > 0.9 * drawn.sum()
    assert not found[:100].any()
    cleaned = without_burnt_in(picture).astype(int)
    assert np.abs(cleaned - tissue)[drawn].mean() < 25
    assert np.array_equal(cleaned[:100], tissue[:100])


def test_a_cross_is_found_alone(tissue):
    picture = marked(tissue, cross=(60, 90))
    found = find_burnt_in(picture)
    assert found[60, 90]
    assert found[60, 87]
    assert not found[:, 110:].any()


def test_two_letters_are_left(tissue):
    assert not find_burnt_in(marked(tissue, "GE", size=22)).any()


def test_what_is_painted_is_filled_from_around_however_large():
    picture = np.full((60, 60), 100, dtype=np.uint8)
    hole = np.zeros((60, 60), dtype=bool)
    hole[10:50, 10:50] = True
    picture[hole] = 255
    filled = paint_over(picture, hole)
    assert np.abs(filled[12:48, 12:48].astype(int) - 100).max() <= 60
    assert filled[11, 30] == pytest.approx(100, abs=1)

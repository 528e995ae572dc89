"""Marks look as they are called: measured by what is drawn, not by eye alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from medkd.audit.canvas import Canvas
from medkd.audit.marks import MARKS


@pytest.fixture(scope="module")
def layers():
    lesion = np.zeros((128, 128), dtype=bool)
    lesion[50:70, 40:80] = True
    return {name: mark(Canvas(lesion, np.ones((128, 128), dtype=bool))) for name, mark in MARKS.items()}


def test_every_mark_is_seen_and_covers_less_than_a_tenth(layers):
    assert all(0.001 < layer.place.mean() < 0.1 for layer in layers.values())


def test_calipers_are_four_crosses_round_the_lesion(layers):
    places, count = label(layers["calipers"].opacity > 0.3)
    assert count == 4
    rows, columns = np.nonzero(places)
    assert rows.min() < 50 < 70 < rows.max()
    assert columns.min() < 40 < 80 < columns.max()


def test_left_and_right_are_different_letters(layers):
    left, right = (layers[f"laterality_{side}"].opacity for side in ("left", "right"))
    assert left.sum() != pytest.approx(right.sum(), rel=0.02)


def test_a_frame_lies_on_the_border_and_a_box_is_black(layers):
    frame = layers["frame"].place
    assert frame[0].all()
    assert frame[:, -1].all()
    assert not frame[5:-5, 5:-5].any()
    box = layers["black_box"]
    assert box.value[box.place].max() == 0
    bar = layers["grey_bar"]
    assert bar.value[bar.place].std() > 0.2


def test_ticks_are_many_and_text_has_letters(layers):
    assert label(layers["ruler"].opacity > 0.3)[1] > 15
    assert label(layers["text"].opacity > 0.3)[1] > 8

"""The diagram shows each bin where its confidence and accuracy put it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from data_contracts import Estimate, ReliabilityBin
from medkd.evaluation.draw_reliability import _AFTER, _BEFORE, _MARGIN, _SIDE, _TOP, draw_reliability

ECE = Estimate(mean=0.12, low=0.1, high=0.15, n=40)


def panel(*bins, title="before"):
    return title, ECE, [ReliabilityBin(confidence=c, accuracy=a, count=n) for c, a, n in bins]


def pixels(payload):
    with Image.open(io.BytesIO(payload)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def marked(picture, colour):
    """Return where a colour is drawn within the two plots, (row, column)."""
    rows, columns = np.nonzero((picture[_TOP : _TOP + _SIDE] == colour).all(-1))
    return rows + _TOP, columns


def test_the_bytes_depend_on_what_it_shows_alone():
    before, after = panel((0.9, 0.6, 30), (0.7, 0.5, 10)), panel((0.7, 0.65, 40), title="after")
    first, second = (draw_reliability("net", before, after, unit="cases") for _ in range(2))
    assert first == second
    for other in (
        draw_reliability("net", before, before, unit="cases"),
        draw_reliability("net", panel((0.9, 0.6, 10), (0.7, 0.5, 30)), after, unit="cases"),
        draw_reliability("other", before, after, unit="cases"),
        draw_reliability("net", before, after, unit="voxels"),
    ):
        assert other != first


@pytest.mark.parametrize(("confidence", "accuracy"), [(0.5, 0.5), (0.9, 0.3), (0.55, 0.95)])
def test_a_bin_lies_to_the_right_by_its_confidence_and_up_by_its_accuracy(confidence, accuracy):
    picture = pixels(draw_reliability("net", panel((confidence, accuracy, 5)), panel((0.25, 0.25, 5), title="after"), unit="cases"))
    rows, columns = marked(picture, _BEFORE)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(_MARGIN + confidence * _SIDE, abs=1)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(_TOP + (1 - accuracy) * _SIDE, abs=1)
    # The second panel lies beside it and has its own colour.
    columns = marked(picture, _AFTER)[1]
    assert (columns.min() + columns.max()) / 2 == pytest.approx(_MARGIN + _SIDE + _MARGIN + 0.25 * _SIDE, abs=1)


def test_bars_are_as_high_as_their_counts():
    picture = pixels(draw_reliability("net", panel((0.25, 0.5, 100), (0.75, 0.5, 50)), panel(title="after"), unit="cases"))
    below = (picture[_TOP + _SIDE + 1 :] == _BEFORE).all(-1)
    tall, half = (below[:, round(_MARGIN + share * _SIDE)].sum() for share in (0.25, 0.75))
    assert half / tall == pytest.approx(0.5, abs=0.05)


def test_without_a_bin_the_axes_are_drawn_all_the_same():
    picture = pixels(draw_reliability("net", panel(), panel(title="after"), unit="cases"))
    assert not len(marked(picture, _BEFORE)[0])
    assert (picture != 255).any()

"""Values as grey levels: most of them within the report's window, and windows that go with the modality."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.review.grey_levels import CT_WINDOWS, levels_of, windows_of
from tests.explanation.pictures import bright_picture


@pytest.fixture
def ct(report):
    return report.volume.model_copy(update={"modality": "CT", "unit": "HU"})


def decoded(levels, codes):
    points, values = zip(*levels.points, strict=True)
    return np.interp(codes, points, values)


def test_three_quarters_of_the_levels_lie_within_the_window(ct):
    values = np.linspace(-1000, 2000, 30_001, dtype=np.float32)
    levels = levels_of(values, (-160.0, 240.0), ct)
    codes = levels.encode(values)
    inside = (values >= -160) & (values <= 240)
    assert len(np.unique(codes[inside])) == 192
    assert np.abs(decoded(levels, codes) - values)[inside].max() <= 400 / 191 / 2 + 1e-3
    assert levels.step() == pytest.approx((400 / 191, (2000 - 3 - 240) / 32), rel=0.01)


def test_a_window_that_holds_the_whole_image_has_all_levels(ct):
    levels = levels_of(np.linspace(0, 1, 1000, dtype=np.float32), (-1.0, 2.0), ct)
    assert levels.points == ((0, -1.0), (255, 2.0))


def test_what_is_no_number_has_the_lowest_level(ct):
    values = np.array([np.nan, -np.inf, np.inf, 0.0], np.float32)
    assert levels_of(values, (-1.0, 1.0), ct).encode(values).tolist() == [0, 0, 255, 128]
    assert levels_of(np.full(3, np.nan, np.float32), (-1.0, 1.0), ct).points == ((0, -1.0), (255, 1.0))


def test_a_picture_is_shown_as_it_is():
    values, volume = bright_picture()
    levels = levels_of(np.asarray(values), (0.0, 255.0), volume)
    assert levels.encode(np.arange(256)).tolist() == list(range(256))


def test_ct_has_the_windows_of_ct_and_nothing_else_has_them(ct):
    values = np.linspace(-1000, 1000, 2001, dtype=np.float32)
    found = {name.key.removeprefix("window."): (low, high) for name, low, high in windows_of(values, (-160.0, 240.0), ct)}
    assert list(found) == ["report", *CT_WINDOWS]
    assert found["report"] == (-160.0, 240.0)
    assert found["lung"] == (-1350.0, 150.0)
    other = {name.key: (low, high) for name, low, high in windows_of(values, (-160.0, 240.0), ct.model_copy(update={"modality": "MR"}))}
    assert len(other) == 5
    assert not {f"window.{name}" for name in CT_WINDOWS} & set(other)
    assert other["window.percentiles_5"] == pytest.approx((-900, 900), abs=1)

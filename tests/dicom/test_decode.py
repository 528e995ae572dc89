"""Values are stored pixels times slope plus intercept, in whole numbers where they fit, and what was met on the way is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_contracts import IngestCode
from medkd.dicom.decode import decode_into, decode_part
from medkd.dicom.pixel_place import PixelPlace
from medkd.dicom.pixel_plan import plan_pixels
from tests.dicom.invented import slice_at

STORED = np.arange(-4, 20, dtype="<i2").reshape(4, 6)


@pytest.fixture
def plan(tmp_path):
    """Return a maker of plans for pixels that lie in a file."""

    def make(pixels=STORED, **values):
        path = tmp_path / "pixels"
        path.write_bytes(pixels.tobytes())
        made = plan_pixels(slice_at(0, name=str(path), **values))
        return replace(made, place=PixelPlace(0, pixels.nbytes))

    return make


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2, 7), (-1, 0)])
def test_whole_rescales_stay_whole_numbers(plan, slope, intercept):
    target = np.zeros((4, 6), np.int16)
    stats = decode_into(target, plan(RescaleSlope=slope, RescaleIntercept=intercept))
    assert (target == STORED.astype(int) * slope + intercept).all()
    assert (stats.low, stats.high) == (target.min(), target.max())


def test_fractions_are_kept_as_floats(plan):
    target = np.zeros((4, 6), np.float32)
    decode_into(target, plan(RescaleSlope=0.25, RescaleIntercept=0.5))
    assert (target == STORED * 0.25 + 0.5).all()


def test_values_that_do_not_fit_are_said_and_not_wrapped(plan):
    target = np.zeros((4, 6), np.int16)
    assert decode_into(target, plan(RescaleSlope=2000)).overflow
    assert not target.any()


def test_padding_is_counted_between_value_and_limit(plan):
    assert decode_into(np.zeros((4, 6), np.int16), plan(PixelPaddingValue=-4, PixelPaddingRangeLimit=-2)).padded == 3


@pytest.mark.parametrize("keep", [False, True])
def test_floats_that_are_no_numbers_are_refused_or_counted(plan, keep):
    pixels = np.linspace(0, 1, 24, dtype="<f4").reshape(4, 6)
    pixels[1, 2] = np.nan
    made = replace(plan(pixels, BitsAllocated=32, BitsStored=None, HighBit=None), keep_nan=keep)
    stats = decode_into(np.zeros((4, 6), np.float32), made)
    assert (stats.not_finite, stats.error and stats.error[0]) == ((1, None) if keep else (0, IngestCode.NAN_OR_INF))


def test_an_endless_slope_is_refused(plan):
    stats = decode_into(np.zeros((4, 6), np.float32), replace(plan(), slope=float("inf")))
    assert stats.error is not None
    assert stats.error[0] is IngestCode.NAN_OR_INF


def test_a_worker_writes_slices_at_their_places_and_nothing_where_one_is_broken(plan, tmp_path):
    whole, broken = plan(), replace(plan(), place=PixelPlace(0, 10))
    target = tmp_path / "volume"
    target.write_bytes(bytes(8 + 3 * 48))
    stats = decode_part(((target, "<i2", (3, 4, 6), 8), [(2, whole), (0, broken)]))
    assert [one.error is None for one in stats] == [True, False]
    written = np.frombuffer(target.read_bytes()[8:], "<i2").reshape(3, 4, 6)
    assert (written[2] == STORED).all()
    assert not written[:2].any()

"""The bits of a word that hold the value are those that the header names, or the header is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from data_contracts import Action, IngestCode, IngestError
from medkd.dicom.bits_stored import within_bits
from medkd.dicom.pixel_plan import plan_pixels
from tests.dicom.invented import slice_at
from tests.dicom.voxels import ingested, truth

pytestmark = pytest.mark.usefixtures("odd_values_may_be_written")


def rewrite(dataset, words, *, bits, high, signed=False, intercept=-1024, allocated=16, syntax=ExplicitVRLittleEndian):
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = allocated, bits, high, int(signed)
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, intercept
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    dataset.PixelData = words.astype(f"{order}u{allocated // 8}").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].is_undefined_length = False
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)


def raised(*, bits, high, signed, allocated=16, syntax=ExplicitVRLittleEndian, below=0, above=0):
    """Return a change: values in the bits up to ``high``, with something in the other bits."""

    def change(_, dataset):
        hu = dataset.pixel_array.astype(np.int64) * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept)
        values = hu if signed else hu + 1024
        words = (values & ((1 << bits) - 1)) << (high - bits + 1)
        words |= below | above
        rewrite(dataset, words, bits=bits, high=high, signed=signed, intercept=0 if signed else -1024, allocated=allocated, syntax=syntax)

    return change


@pytest.mark.parametrize("every", [None, Action.REPAIR])
@pytest.mark.parametrize(
    ("bits", "high", "signed", "allocated", "syntax"),
    [
        (12, 15, False, 16, ExplicitVRLittleEndian),
        (12, 13, False, 16, ImplicitVRLittleEndian),
        (12, 15, True, 16, ExplicitVRLittleEndian),
        (13, 14, True, 16, ExplicitVRBigEndian),
        (12, 15, False, 16, RLELossless),
        (16, 31, True, 32, ExplicitVRLittleEndian),
        (16, 23, False, 32, ExplicitVRLittleEndian),
    ],
)
def test_values_in_the_upper_bits_of_their_words_are_read_from_there(series, bits, high, signed, allocated, syntax, every):
    variant = {ExplicitVRBigEndian: "big_endian", ImplicitVRLittleEndian: "oblique"}.get(syntax, "axial")
    folder = series(raised(bits=bits, high=high, signed=signed, allocated=allocated, syntax=syntax), variant=variant)
    assert pydicom.dcmread(next(folder.iterdir())).file_meta.TransferSyntaxUID == syntax
    report, [(volume, values)] = ingested(folder, every)
    assert report.codes() == {}
    assert volume.flags == (IngestCode.HIGH_BIT,)
    assert np.abs(values - truth(volume)).max() < 1


@pytest.mark.parametrize("every", [None, Action.REPAIR, Action.ACCEPT_WITH_FLAG])
@pytest.mark.parametrize("below", [0x1, 0x8])
def test_bits_below_the_values_contradict_the_header_and_are_never_cut(series, every, below):
    report, volumes = ingested(series(raised(bits=12, high=15, signed=False, below=below)), every)
    assert (report.codes(), volumes) == ({"BITS_MISMATCH": 14}, [])


@pytest.mark.parametrize("every", [None, Action.REPAIR])
def test_a_high_bit_of_the_header_that_the_values_do_not_have_is_refused(series, every):
    """The words hold ordinary twelve bits; read as the header says, they would be sixteen times too small."""

    def change(index, dataset):
        raised(bits=12, high=11, signed=False)(index, dataset)
        dataset.HighBit = 15

    report, volumes = ingested(series(change), every)
    assert (report.codes(), volumes) == ({"BITS_MISMATCH": 14}, [])


@pytest.mark.parametrize("high", [5, 16, 40])
def test_a_high_bit_outside_of_its_word_is_refused(series, high):
    def change(index, dataset):
        raised(bits=12, high=11, signed=False)(index, dataset)
        dataset.HighBit = high

    for every in (None, Action.REPAIR):
        assert ingested(series(change), every)[0].codes() == {"BITS_MISMATCH": 14}


def test_bits_above_the_values_are_cut_by_a_repair_only(series):
    folder = series(raised(bits=12, high=13, signed=False, above=0x8000))
    assert ingested(folder)[0].codes() == {"BITS_MISMATCH": 14}
    _, [(volume, values)] = ingested(folder, Action.REPAIR)
    assert set(volume.flags) == {IngestCode.BITS_MISMATCH, IngestCode.HIGH_BIT}
    assert np.abs(values - truth(volume)).max() < 1


@pytest.mark.parametrize(
    ("signed", "high", "word", "value"),
    [
        (False, 11, 0x0FFF, 4095),
        (True, 11, 0xFFFF, -1),
        (True, 11, 0x0FFF, -1),
        (True, 11, 0x0800, -2048),
        (False, 15, 0xFFF0, 4095),
        (True, 15, 0x8000, -2048),
        (True, 13, 0xFFFC, -1),
    ],
)
def test_twelve_bits_of_sixteen_are_read_where_they_lie(signed, high, word, value):
    plan = replace(plan_pixels(slice_at(0)), signed=signed, bits=(16, 12), high_bit=high)
    words = np.array([[word]], "<u2")
    values, cut = within_bits(words.view("<i2") if signed else words, plan)
    assert (int(values[0, 0]), cut) == (value, False)


@pytest.mark.parametrize("repair", [False, True])
def test_foreign_bits_above_are_refused_or_cut(repair):
    plan = replace(plan_pixels(slice_at(0)), signed=False, bits=(16, 12), high_bit=11, cut_bits=repair)
    if not repair:
        with pytest.raises(IngestError):
            within_bits(np.array([[0x1001]], "<u2"), plan)
        return
    values, cut = within_bits(np.array([[0x1001]], "<u2"), plan)
    assert (int(values[0, 0]), cut) == (1, True)

"""How values are shown, against pydicom's own arithmetic and against the equations of the standard counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_windowing

from data_contracts import IngestCode, IngestError
from medkd.dicom.display import as_shown, read_display, windowed
from medkd.dicom.picture_frames import picture_group
from medkd.dicom.pixel_plan import plan_pixels
from tests.dicom.invented import found, header
from tests.dicom.test_lookup_table import table

GREY = {"ImagePositionPatient": None, "PixelRepresentation": 0, "BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME2"}


def display(**values):
    item = header(**{**GREY, **values})
    return read_display(item, plan_pixels(picture_group(found("a.dcm", item)).slices[0], tables=True))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(2048, 4096), (100, 50), (100, 2), (-7.5, 33.25)])
def test_a_window_is_what_another_library_makes_of_it(function, centre, width):
    """pydicom scales to the range of the pixels: here 0 to 4095."""
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.BitsStored, dataset.PixelRepresentation = "MONOCHROME2", 12, 0
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = centre, width, function
    values = np.arange(4096, dtype=np.uint16)
    np.testing.assert_allclose(windowed(values, centre, width, function), apply_windowing(values, dataset) / 4095, atol=1e-9)


def test_a_linear_window_has_the_edges_of_the_standard():
    """C.11.2.1.2.1 with centre 2048 and width 4096: at most 0 is black, above 4095 is white; a width of 1 is a threshold."""
    assert windowed(np.array([0, 4095]), 2048, 4096, "LINEAR").tolist() == [0, 1]
    assert windowed(np.array([99, 99.5, 100]), 100, 1, "LINEAR").tolist() == [0, 0, 1]
    assert windowed(np.array([100.0]), 100, 7, "SIGMOID").tolist() == [0.5]
    assert not np.isnan(windowed(np.array([-1e9, 1e9]), 0, 1, "SIGMOID")).any()


def test_without_values_of_interest_the_whole_range_of_the_header_is_shown():
    plain = display(BitsStored=8, HighBit=7)
    eight = np.arange(256)
    assert np.array_equal(plain.shown(plain.values(eight)), eight)
    assert plain.shown(eight).dtype == np.uint8
    twelve = display()
    np.testing.assert_allclose(twelve.shown(np.array([0, 1, 4095])), [0, 255 / 4095, 255], rtol=1e-6)
    assert twelve.shown(np.array([0, 1, 4095])).dtype == np.float32
    signed = display(PixelRepresentation=1, RescaleSlope=2, RescaleIntercept=10)
    assert signed.shown(signed.values(np.array([-2048, 2047]))).tolist() == [0, 255]
    falling = display(RescaleSlope=-1)
    assert falling.shown(falling.values(np.array([0, 4095]))).tolist() == [255, 0]


def test_a_window_that_changes_nothing_leaves_whole_values_whole():
    same = display(BitsStored=8, HighBit=7, WindowCenter=128, WindowWidth=256)
    assert np.array_equal(same.shown(np.arange(256)), np.arange(256))
    assert (same.rule.values_of_interest, same.rule.centre, same.rule.width) == ("LINEAR", 128, 256)


@pytest.mark.parametrize(
    ("values", "inverted"),
    [
        ({}, False),
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "IDENTITY"}, False),
    ],
)
def test_the_polarity_is_turned_once_and_values_are_not(values, inverted):
    one = display(**values)
    stored = np.array([0, 4095])
    assert one.rule.inverted is inverted
    assert one.values(stored).tolist() == [0, 4095]
    assert one.shown(stored).tolist() == ([255, 0] if inverted else [0, 255])


def test_a_modality_table_stands_in_the_place_of_the_rescale():
    one = display(ModalityLUTSequence=[table(np.arange(4096) * 2 + 1, bits=14)], RescaleSlope=9)
    assert one.values(np.array([0, 10])).tolist() == [1, 21]
    assert one.rule.modality_table
    np.testing.assert_allclose(one.shown(np.array([21])), 21 / 16383 * 255, rtol=1e-6)


def test_a_table_of_values_of_interest_comes_before_a_window():
    entries = np.minimum(np.arange(4096), 255)[::-1]
    one = display(VOILUTSequence=[table(entries, bits=8)], WindowCenter=1, WindowWidth=1)
    assert one.rule.values_of_interest == "table"
    assert one.shown(np.array([0, 4095, 4000])).tolist() == [255, 0, 95]


def test_a_window_of_no_width_shows_nothing_and_is_none():
    assert display(WindowCenter=40, WindowWidth=0).rule.values_of_interest == "whole range"
    assert display(WindowCenter=40, WindowWidth=0.5).rule.values_of_interest == "whole range"
    assert display(WindowCenter=40, WindowWidth=0.5, VOILUTFunction="SIGMOID").rule.values_of_interest == "SIGMOID"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"WindowCenter": 1, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, IngestCode.NONLINEAR_LUT),
        ({"VOILUTSequence": [table([1, 2], count=9)]}, IngestCode.NONLINEAR_LUT),
        ({"RescaleSlope": 0}, IngestCode.UNREADABLE_NUMBER),
    ],
)
def test_what_cannot_be_shown_is_refused(values, code):
    with pytest.raises(IngestError) as caught:
        display(**values)
    assert caught.value.ingest_code is code


def test_the_sign_of_a_radiograph_is_recorded_as_it_is_stated():
    rule = display(PixelIntensityRelationship="LOG", PixelIntensityRelationshipSign=-1, PhotometricInterpretation="MONOCHROME1").rule
    assert (rule.relationship, rule.sign, rule.inverted) == ("LOG", -1, True)
    assert (display().rule.relationship, display().rule.sign) == ("", None)


def test_what_is_nearly_whole_is_whole():
    assert as_shown(np.array([1.00001, 254.99999])).tolist() == [1, 255]
    assert as_shown(np.array([1.5])).dtype == np.float32

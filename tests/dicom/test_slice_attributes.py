"""What tells slices apart is text that is equal for equal values, whoever wrote it and however."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from medkd.dicom.slice_attributes import attributes_of, private_attributes, shown
from tests.dicom.drawn import item


@pytest.mark.parametrize(("value", "text"), [("4.60", "4.6"), ("4.6000001", "4.6"), ("-0.0", "0"), ("1e2", "100")])
def test_equal_numbers_are_written_alike(value, text):
    assert shown(item(EchoTime=value), "EchoTime") == text


def test_what_is_absent_is_nothing():
    assert shown(Dataset(), "EchoTime") == ""


def test_attributes_of_items_count_and_those_of_each_image_do_not():
    header = item(
        EchoTime=5, InstanceNumber=3, SliceLocation=4.0, SOPInstanceUID="1.2", PatientName="Doe^Jane",
        MRTimingAndRelatedParametersSequence=[item(FlipAngle=9.0)], ReferencedImageSequence=[item(ReferencedFrameNumber=1)],
    )  # fmt: skip
    assert attributes_of((header,), {}) == {"EchoTime": "5", "FlipAngle": "9"}


def test_a_sequence_that_holds_no_items_says_nothing_and_the_rest_counts():
    header = item(EchoTime=5)
    header[0x00189112] = RawDataElement(BaseTag(0x00189112), "UN", 4, b"abcd", 0, False, True)  # by the dictionary a sequence
    assert attributes_of((header,), {}) == {"EchoTime": "5"}


def test_the_first_place_counts_and_private_attributes_come_last():
    frame, shared = item(EchoTime=5), item(EchoTime=7, KVP=80)
    found = attributes_of((frame, shared), {"EchoTime": "9", "DiffusionBValue": "0"})
    assert found == {"EchoTime": "5", "KVP": "80", "DiffusionBValue": "0", "DiffusionGradientOrientation": "none"}


@pytest.mark.parametrize(
    ("group", "creator", "element", "vr", "value", "keyword", "text"),
    [
        (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", 1000, "DiffusionBValue", "1000"),
        (0x0019, "SIEMENS MR HEADER", 0x0E, "FD", [1.0, 0.0, -0.0], "DiffusionGradientOrientation", "1\\0\\0"),
        (0x0043, "GEMS_PARM_01", 0x39, "IS", [800, 8, 0, 0], "DiffusionBValue", "800\\8\\0\\0"),
        (0x2001, "Philips Imaging DD 001", 0x03, "FL", 500.0, "DiffusionBValue", "500"),
    ],
)
def test_makers_keep_diffusion_in_attributes_of_their_own(group, creator, element, vr, value, keyword, text):
    header = Dataset()
    header.private_block(group, creator, create=True).add_new(element, vr, value)
    assert private_attributes(header)[keyword] == text


def test_a_block_of_another_maker_says_nothing():
    header = Dataset()
    header.private_block(0x0019, "SOMEBODY", create=True).add_new(0x0C, "IS", 1000)
    assert private_attributes(header) == {}

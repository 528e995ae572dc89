"""Numbers are read as they were meant, or named as what they are."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from data_contracts import IngestCode
from medkd.dicom.raw_values import read_numbers, stored_number
from medkd.phantom.dicom_faults import write_case
from tests.dicom.voxels import ingested, truth

pytestmark = pytest.mark.usefixtures("odd_values_may_be_written")


@pytest.mark.parametrize(
    ("vr", "written", "signed", "bits", "wanted"),
    [
        ("US", 63536, True, 16, -2000),
        ("SS", -2000, True, 16, -2000),
        ("SS", -5536, False, 16, 60000),
        ("US", 60000, False, 16, 60000),
        ("US", 0x0830, True, 12, -2000),
        ("US", 0xF830, True, 12, -2000),
        ("US", 4095, False, 12, 4095),
        ("US", 2000, True, 12, 2000),
    ],
)
def test_a_value_of_the_pixels_is_read_by_the_sign_of_the_pixels(tmp_path, vr, written, signed, bits, wanted):
    dataset = Dataset()
    dataset.add_new(0x00280120, vr, written)
    for implicit in (False, True):
        for raw in (False, True):
            if raw:
                dataset.save_as(tmp_path / "x", implicit_vr=implicit, little_endian=True)
                read = pydicom.dcmread(tmp_path / "x", force=True)
            else:
                read = dataset
            assert stored_number(read, 0x00280120, signed=signed, bits=bits) == wanted
    assert stored_number(dataset, 0x00280121, signed=signed, bits=bits) is None


@pytest.mark.parametrize(
    ("text", "tag", "values", "unreadable"),
    [
        ("0,5\\0,5", 0x00280030, (0.5, 0.5), ""),
        ("1,125\\1,125", 0x00280030, (1.125, 1.125), ""),
        ("-1,024", 0x00281052, (), "-1,024"),
        ("-1024,0", 0x00281052, (-1024.0,), ""),
        ("1,024.5", 0x00281053, (), "1,024.5"),
        ("1,2,3", 0x00281053, (), "1,2,3"),
        ("abc", 0x00281053, (), "abc"),
        (" 1.5 ", 0x00281053, (1.5,), ""),
        ("", 0x00281053, (), ""),
    ],
)
def test_numbers_are_read_or_named_and_never_guessed(tmp_path, text, tag, values, unreadable):
    dataset = Dataset()
    dataset.add_new(tag, "LO", text)
    dataset.save_as(tmp_path / "x", implicit_vr=True, little_endian=True)
    found = read_numbers(pydicom.dcmread(tmp_path / "x", force=True), tag)
    assert (found.values, found.unreadable) == (values, unreadable)


def with_commas(path, *keywords):
    dataset = pydicom.dcmread(path)
    for keyword in keywords:
        text = "\\".join(str(part) for part in np.atleast_1d(np.array(dataset[keyword].value, dtype=object))).replace(".", ",")
        dataset[keyword] = pydicom.DataElement(dataset[keyword].tag, "LO", text)
    written = path.with_suffix(".tmp")
    dataset.save_as(written)
    payload = written.read_bytes()
    for keyword in keywords:
        tag = dataset[keyword].tag
        begin = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
        payload = payload.replace(begin + b"LO", begin + b"DS")
    written.unlink()
    path.write_bytes(payload)


@pytest.mark.parametrize(
    "keywords",
    [
        ("PixelSpacing",),
        ("ImagePositionPatient", "ImageOrientationPatient"),
        ("PixelSpacing", "ImagePositionPatient", "RescaleSlope", "SliceThickness"),
    ],
)
def test_decimal_commas_are_read_and_flagged(tmp_path, keywords):
    for path in write_case(tmp_path / "case", "slope_per_slice"):
        with_commas(path, *keywords)
    assert b"," in next((tmp_path / "case").iterdir()).read_bytes()
    report, [(volume, values)] = ingested(tmp_path / "case")
    assert report.codes() == {}
    assert volume.flags == (IngestCode.DECIMAL_COMMA,)
    assert volume.geometry.spacing_mm[1:] == (1.5, 1.25)
    assert np.abs(values - truth(volume)).max() < 1


@pytest.mark.parametrize(("keyword", "text"), [("PixelSpacing", "wide\\1"), ("RescaleSlope", "one"), ("RescaleIntercept", "-1,024")])
def test_what_is_no_number_is_said_to_be_none_and_not_to_be_missing(tmp_path, keyword, text):
    for path in write_case(tmp_path / "case", "regular"):
        dataset = pydicom.dcmread(path)
        dataset[keyword] = pydicom.DataElement(dataset[keyword].tag, "LO", text)
        dataset.save_as(path)
        tag = dataset[keyword].tag
        begin = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
        path.write_bytes(path.read_bytes().replace(begin + b"LO", begin + b"DS"))
    report, volumes = ingested(tmp_path / "case")
    assert (report.codes(), volumes) == ({"UNREADABLE_NUMBER": 14}, [])
    assert keyword in report.files[0].evidence
    assert text.replace("\\", "\\\\\\\\") in report.files[0].evidence

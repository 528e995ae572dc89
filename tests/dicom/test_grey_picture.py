"""Colours brought to grey, against the arithmetic of another library and against pictures that come with pydicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut, convert_color_space

from data_contracts import IngestCode, IngestError
from medkd.dicom.grey_picture import grey_picture, is_coloured
from medkd.dicom.read_header import read_file
from medkd.phantom.dicom_pictures import Picture, write_picture


def grey_of(path, photometric):
    return grey_picture(read_file(path, path.name), photometric)


def written(tmp_path, pixels, **attributes):
    path = tmp_path / "us.dcm"
    write_picture(path, Picture(pixels, colours=True, attributes=attributes))
    return path


def test_grey_is_the_luma_of_another_library(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8)
    found = grey_of(written(tmp_path, pixels), "RGB")
    wanted = np.asarray(Image.fromarray(pixels).convert("L")).astype(int)
    # Pillow keeps 16 bits of each weight: it may round the other way.
    assert np.abs(found.grey[0].astype(int) - wanted).max() <= 1
    assert (found.grey[0] == wanted).mean() > 0.99
    assert np.array_equal(found.brightest[0], pixels.max(-1))


def test_what_is_grey_stays_as_it_is_and_coloured_pixels_are_counted(tmp_path):
    pixels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16)[..., None], 3, 2)
    assert np.array_equal(grey_of(written(tmp_path, pixels), "RGB").grey[0], pixels[..., 0])
    pixels[:2, :5] = (200, 30, 30)  # a Doppler map
    pixels[5, 5] = (100, 110, 100)  # what lossy compression makes of grey
    assert grey_of(written(tmp_path, pixels), "RGB").coloured == 10


def test_luma_of_a_picture_that_is_stored_as_luma_is_its_first_channel(tmp_path):
    """YBR_FULL holds the luma of BT.601 itself; by way of red, green and blue it may differ by the rounding."""
    pixels = np.random.default_rng(1).integers(60, 200, (20, 30, 3), dtype=np.uint8)
    stored = convert_color_space(pixels, "RGB", "YBR_FULL")
    found = grey_of(written(tmp_path, stored, PhotometricInterpretation="YBR_FULL"), "YBR_FULL")
    assert np.abs(found.grey[0].astype(int) - stored[..., 0]).max() <= 1


def test_a_cine_in_colours_has_a_grey_frame_for_each():
    path = Path(get_testdata_file("examples_ybr_color.dcm"))
    found = grey_of(path, str(pydicom.dcmread(path).PhotometricInterpretation))
    assert found.grey.shape == (30, 240, 320)
    assert 0 < found.coloured < found.grey.size


def test_a_palette_is_looked_up_as_another_library_does():
    path = Path(get_testdata_file("examples_palette.dcm"))
    dataset = pydicom.dcmread(path)
    colours = apply_color_lut(dataset.pixel_array, dataset)
    found = grey_of(path, "PALETTE COLOR")
    assert found.bits == 16
    wanted = colours @ np.array([0.299, 0.587, 0.114])
    assert np.abs(found.grey[0] - wanted).max() <= 0.5


def test_a_palette_in_segments_is_read_too(tmp_path):
    """A discrete segment says the number of its entries and then the entries (PS3.3 C.7.9.2.1)."""
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    segment = np.array([0, 256, *(np.arange(256) * 257)], "<u2").tobytes()
    named = {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16] for name in ("Red", "Green", "Blue")}
    named |= {f"Segmented{name}PaletteColorLookupTableData": segment for name in ("Red", "Green", "Blue")}
    path = tmp_path / "us.dcm"
    write_picture(path, Picture(stored, attributes={"PhotometricInterpretation": "PALETTE COLOR", **named}))
    found = grey_of(path, "PALETTE COLOR")
    assert np.array_equal(found.grey[0], stored.astype(int) * 257)
    assert (found.bits, found.coloured) == (16, 0)


def test_a_broken_palette_is_refused(tmp_path):
    pixels = np.zeros((4, 4), np.uint8)
    path = tmp_path / "us.dcm"
    write_picture(path, Picture(pixels, attributes={"PhotometricInterpretation": "PALETTE COLOR"}))
    with pytest.raises(IngestError) as caught:
        grey_of(path, "PALETTE COLOR")
    assert caught.value.ingest_code is IngestCode.NONLINEAR_LUT


def test_pixels_that_cannot_be_decoded_are_refused(tmp_path):
    path = written(tmp_path, np.zeros((4, 4, 3), np.uint8))
    dataset = pydicom.dcmread(path)
    dataset.Rows = 40
    dataset.save_as(path)
    with pytest.raises(IngestError) as caught:
        grey_of(path, "RGB")
    assert caught.value.ingest_code is IngestCode.DECODE_FAILED


@pytest.mark.parametrize(("photometric", "coloured"), [("RGB", True), ("YBR_ICT", True), ("MONOCHROME1", False), ("CMYK", False)])
def test_colours_that_are_brought_to_grey_are_listed(photometric, coloured):
    assert is_coloured(photometric) is coloured

"""Where pixels lie, and whether they are whole, is known without reading them."""

from __future__ import annotations

import pydicom
import pytest

from medkd.dicom.read_header import read_file
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS

BY_NAME = {variant.name: variant for variant in VARIANTS}


@pytest.mark.parametrize("variant", sorted(BY_NAME))
def test_the_place_of_the_pixels_is_found_in_every_encoding(tmp_path, variant):
    path = write_case(tmp_path, "regular", BY_NAME[variant])[0]
    found, payload = read_file(path, "x"), path.read_bytes()
    wanted = pydicom.dcmread(path)
    syntax = wanted.file_meta.TransferSyntaxUID
    if syntax.is_deflated:
        assert found.pixels.offset is None
    elif syntax.is_encapsulated:
        assert payload[found.pixels.offset :].startswith(wanted.PixelData[:40])
        assert found.pixels.length is None
    else:
        assert payload[found.pixels.offset : found.pixels.offset + found.pixels.length] == wanted.PixelData
    assert found.pixels.whole


@pytest.mark.parametrize("variant", ["axial", "oblique", "sagittal", "coronal", "big_endian"])
def test_pixels_that_break_off_are_known_from_the_header_scan(tmp_path, variant):
    path = write_case(tmp_path, "regular", BY_NAME[variant])[0]
    path.write_bytes(path.read_bytes()[:-300])
    assert not read_file(path, "x").pixels.whole

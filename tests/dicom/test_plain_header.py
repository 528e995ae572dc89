"""Headers that are read plainly are those that pydicom reads."""

from __future__ import annotations

import contextlib
import random
import struct

import pydicom
import pytest
from pydicom.dataelem import RawDataElement

from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.read_header import read_file
from medkd.dicom.transfer_syntax import transfer_syntax
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS

BY_NAME = {variant.name: variant for variant in VARIANTS}


def assert_written_alike(found, wanted):
    """Compare elements as they were written and where they lie, in their order; what pydicom has parsed already, as it understands them."""
    assert list(found.keys()) == list(wanted.keys())
    for tag in list(wanted.keys()):
        ours, pydicoms = found.get_item(tag, keep_deferred=True), wanted.get_item(tag, keep_deferred=True)
        if isinstance(ours, RawDataElement) and isinstance(pydicoms, RawDataElement):
            assert ours == pydicoms
        elif pydicoms.tag != 0x00080005:
            assert found[tag] == wanted[tag]


def assert_read_as_pydicom_does(path, *, sound=True):
    with quiet_dicom():
        found, wanted = read_file(path, "x").header, pydicom.dcmread(path, stop_before_pixels=True)
        assert_written_alike(found, wanted)
        assert_written_alike(found.file_meta, wanted.file_meta)
        assert transfer_syntax(found) == wanted.file_meta.TransferSyntaxUID
        if sound:  # what has no known representation cannot be asked for
            assert found == wanted
            assert found.file_meta == wanted.file_meta
    assert found.original_encoding == wanted.original_encoding
    assert found.original_character_set == wanted.original_character_set


@pytest.mark.parametrize("variant", sorted(BY_NAME))
def test_headers_are_those_that_pydicom_reads(tmp_path, variant):
    for case in ("regular", "enhanced"):
        for path in write_case(tmp_path / case, case, BY_NAME[variant])[:2]:
            assert_read_as_pydicom_does(path)


def element(tag: int, kind: bytes, value: bytes, length: int | None = None) -> bytes:
    """Write an explicit little-endian element; ``length`` states another one than its value has."""
    stated = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, kind)
    long = kind in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC", b"OF")
    return head + (struct.pack("<HI", 0, stated) if long else struct.pack("<H", stated)) + value


_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)


_ENDS = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
#: What may stand in a header; each is put before an ordinary element, behind a character set.
ODD = {
    "nothing": b"",
    "empty values": element(0x00100010, b"PN", b"") + element(0x00101030, b"DS", b"") + element(0x00280010, b"US", b""),
    "a sequence of undefined length": element(0x00081140, b"SQ", _ITEM + element(0x00100010, b"PN", "Größe".encode()) + _ENDS, 0xFFFFFFFF),
    "a sequence of known length": element(0x00081140, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 0)),
    "a private sequence of undefined length as UN": element(0x00091001, b"UN", _ITEM + _ENDS, 0xFFFFFFFF),
    "an unknown representation": element(0x00091001, b"ZZ", b"abcd"),
    "no representation": struct.pack("<HHI", 0x0009, 0x1001, 4) + b"abcd",
    "an element twice": element(0x00080060, b"CS", b"CT") + element(0x00080060, b"CS", b"MR"),
    "an end of an item": struct.pack("<HHI", 0xFFFE, 0xE00D, 0),
    "an end of an item whose length looks like a representation": struct.pack("<HH2sH", 0xFFFE, 0xE00D, b"CS", 4) + b"abcd",
    "another character set": element(0x00080005, b"CS", b"ISO_IR 100"),
    "several character sets": element(0x00080005, b"CS", b"\\ISO 2022 IR 87") + element(0x00081140, b"SQ", _ITEM + _ENDS, 0xFFFFFFFF),
    "an unknown character set": element(0x00080005, b"CS", b"ISO_IR 9999 "),
    "long values": element(0x00091001, b"OB", bytes(1000)) + element(0x00091002, b"UT", b"x" * 70000),
    "file information behind": element(0x00020016, b"AE", b"HERE"),
}


@pytest.mark.parametrize("odd", sorted(ODD))
@pytest.mark.parametrize("end", ["pixels", "nothing", "a piece"])
def test_odd_headers_are_those_that_pydicom_reads(tmp_path, odd, end):
    meta = element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0") + element(0x00020012, b"UI", b"1.2.3\0")
    body = element(0x00080005, b"CS", b"ISO_IR 192") + element(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.2\0") + ODD[odd]
    body += element(0x0020000D, b"UI", b"1.2.3.4\0")
    body += {"pixels": element(0x7FE00010, b"OW", bytes(8)), "nothing": b"", "a piece": element(0x00200011, b"IS", b"1", 40)}[end]
    path = tmp_path / "file"
    path.write_bytes(bytes(128) + b"DICM" + element(0x00020000, b"UL", struct.pack("<I", len(meta))) + meta + body)
    assert_read_as_pydicom_does(path, sound=odd != "an unknown representation")


@pytest.mark.parametrize("variant", ["axial", "oblique"])
def test_headers_that_are_cut_or_altered_anywhere_are_read_as_pydicom_reads_them(tmp_path, variant):
    payload = write_case(tmp_path / "in", "regular", BY_NAME[variant])[0].read_bytes()
    found = read_file(tmp_path / "in" / next((tmp_path / "in").iterdir()).name, "x")
    draw, same = random.Random(0), 0
    for trial in range(400):
        altered = bytearray(payload[: found.pixels.offset + 64])
        if trial % 2:
            altered[draw.randrange(132, found.pixels.offset)] ^= 1 << draw.randrange(8)
        else:
            del altered[draw.randrange(132, found.pixels.offset) :]
        path = tmp_path / "file"
        path.write_bytes(altered)
        ours = read_file(path, "x")
        if ours.header is None or ours.code is not None:
            with quiet_dicom(), contextlib.suppress(Exception):
                assert not pydicom.dcmread(path, stop_before_pixels=True), trial
            continue
        with quiet_dicom():
            try:
                wanted = pydicom.dcmread(path, stop_before_pixels=True)
            except NotImplementedError:  # it asks how long the file information is, and we do not
                continue
            assert_written_alike(ours.header, wanted)
        same += 1
    assert same > 200


def test_real_headers_are_those_that_pydicom_reads(real_data):
    read = 0
    for path in sorted((real_data / "dicom_real").rglob("*.dcm")):
        found = read_file(path, "x")
        if found.header is None or found.code is not None:
            continue
        assert_read_as_pydicom_does(path)
        read += 1
    assert read > 100

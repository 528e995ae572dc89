"""What is found in a source: by walking, by a DICOMDIR, in any encoding, whole or not."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import threading
import time

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from data_contracts import Action, IngestCode, IngestPolicy, Outcome, OutputError
from medkd.dicom.discover import discover
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.read_header import read_file
from medkd.dicom.transfer_syntax import transfer_syntax
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS

BY_NAME = {variant.name: variant for variant in VARIANTS}


@pytest.fixture
def medium(tmp_path):
    """Return a folder as a disc holds it: a DICOMDIR, and files under names that say nothing."""
    fileset = FileSet()
    for path in write_case(tmp_path / "case", "regular"):
        fileset.add(path)
    fileset.write(tmp_path / "disc")
    fileset._stage["t"].cleanup()  # or the collector does it, with a warning
    return tmp_path / "disc"


@pytest.mark.parametrize("named", ["folder", "DICOMDIR"])
def test_a_disc_is_read_through_its_folder_or_its_directory(medium, tmp_path, named):
    report = ingest(IngestRequest(medium if named == "folder" else medium / "DICOMDIR", tmp_path / "store"), secret=b"k")
    assert report.count(Outcome.ACCEPTED) == 14
    assert len(report.series) == 1
    (directory,) = [file for file in report.files if file.path == "DICOMDIR"]
    assert (directory.outcome, directory.code) == (Outcome.IGNORED, IngestCode.DICOMDIR_SKIPPED)
    assert "lists 14 files, 0 of them missing" in directory.evidence


def test_a_directory_says_what_is_missing_on_the_disc(medium, tmp_path):
    lost = next(path for path in medium.rglob("IM*") if path.is_file())
    lost.unlink()
    (directory,) = [file for file in discover(medium, tmp_path / "scratch") if file.relative == "DICOMDIR"]
    assert directory.evidence.startswith(f"lists 14 files, 1 of them missing, the first {lost.relative_to(medium).as_posix()}")


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


@pytest.mark.parametrize("variant", ["axial", "oblique", "sagittal", "coronal", "big_endian"])
def test_pixels_that_break_off_are_known_from_the_header_scan(tmp_path, variant):
    path = write_case(tmp_path, "regular", BY_NAME[variant])[0]
    path.write_bytes(path.read_bytes()[:-300])
    assert not read_file(path, "x").pixels.whole


def test_a_missing_file_header_is_mended_where_the_policy_says_so(tmp_path):
    for path in write_case(tmp_path / "in", "regular"):
        payload = path.read_bytes()
        length = int.from_bytes(payload[140:144], "little")
        path.write_bytes(payload[144 + length :])
    refused = ingest(IngestRequest(tmp_path / "in", tmp_path / "a"), secret=b"k")
    assert refused.codes() == {"MISSING_META": 14}
    mended = ingest(IngestRequest(tmp_path / "in", tmp_path / "b", IngestPolicy(every=Action.REPAIR)), secret=b"k")
    (line,) = mended.series
    assert line.flags == (IngestCode.MISSING_META,)


def test_large_files_are_streamed_with_the_same_result(tmp_path, monkeypatch):
    path = write_case(tmp_path, "enhanced")[0]
    at_once = read_file(path, "x")
    monkeypatch.setattr("medkd.dicom.fetch_bytes._AT_ONCE", 10)
    streamed = read_file(path, "x")
    assert (at_once.digest, at_once.header, at_once.pixels) == (streamed.digest, streamed.header, streamed.pixels)
    monkeypatch.undo()
    monkeypatch.setattr("medkd.dicom.fetch_bytes._HEADER_BYTES", 64)
    assert read_file(path, "x").pixels == at_once.pixels


@pytest.mark.parametrize("variant", ["coronal", "sagittal"])
@pytest.mark.parametrize("lost", [0, 8, 40])
def test_compressed_files_are_read_from_their_first_bytes_with_the_same_result(tmp_path, monkeypatch, variant, lost):
    path = write_case(tmp_path, "enhanced", BY_NAME[variant])[0]
    payload = path.read_bytes()
    path.write_bytes(payload[: len(payload) - lost])
    at_once = read_file(path, "x")
    monkeypatch.setattr("medkd.dicom.fetch_bytes._HEADER_BYTES", at_once.pixels.offset + 10)
    opened = read_file(path, "x")
    assert (opened.digest, opened.header, opened.pixels, opened.code) == (at_once.digest, at_once.header, at_once.pixels, None)
    assert opened.pixels.whole is (lost < 40)


def test_slow_sources_are_read_in_threads_with_the_same_result(tmp_path, monkeypatch):
    from medkd.dicom import fetch_bytes as module

    write_case(tmp_path / "in", "regular")
    fast = discover(tmp_path / "in", tmp_path / "scratch")
    real, threads = module.fetch, set()

    def slow(path):
        threads.add(threading.get_ident())
        time.sleep(0.01)
        return real(path)

    monkeypatch.setattr(module, "fetch", slow)
    read = discover(tmp_path / "in", tmp_path / "scratch")
    assert len(threads) > 1
    assert [(file.relative, file.digest, file.header) for file in read] == [(file.relative, file.digest, file.header) for file in fast]


def test_a_store_inside_its_own_source_is_not_made(tmp_path):
    write_case(tmp_path / "in", "gantry_tilt")
    for out in (tmp_path / "in" / "store", tmp_path / "in"):
        with pytest.raises(OutputError) as caught:
            ingest(IngestRequest(tmp_path / "in", out), secret=b"k")
        assert caught.value.code == "OUT_OVERLAPS"
    assert len(list((tmp_path / "in").iterdir())) == 14


def test_links_to_nothing_and_odd_files_are_files_too(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "gone.dcm").symlink_to(tmp_path / "nowhere")
    (source / "empty.dcm").write_bytes(b"")
    os.mkfifo(source / "pipe")
    report = ingest(IngestRequest(source, tmp_path / "store"), secret=b"k")
    assert {file.path: file.code for file in report.files} == dict.fromkeys(("empty.dcm", "gone.dcm", "pipe"), IngestCode.NOT_DICOM)


@pytest.mark.timeout(60)
def test_a_sparse_file_of_zeros_is_no_dicom_and_costs_no_more_than_reading_it(tmp_path):
    """Parsed as elements of tag (0000,0000), sixteen megabytes took a minute."""
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "zeros").open("wb") as stream:
        stream.truncate(2**26)
    report = ingest(IngestRequest(tmp_path / "in", tmp_path / "store"), secret=b"k")
    assert report.files[0].code is IngestCode.NOT_DICOM


@pytest.mark.parametrize("kept", [0, 12])
@pytest.mark.timeout(60)
def test_zeros_behind_a_sound_file_header_cost_no_more_than_reading_them(tmp_path, kept):
    """What a disc leaves that was full, or a download that broke off: the file is as long as it should be, and empty from some element on."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID, header.Modality = CTImageStorage, generate_uid(), "CT"
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    payload = (tmp_path / "whole.dcm").read_bytes()
    behind_meta = payload.index(b"\x08\x00\x16\x00UI")
    whole_elements = payload.index(b"\x08\x00\x60\x00CS") if kept else behind_meta
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "hole.dcm").open("wb") as stream:
        stream.write(payload[:whole_elements])
        stream.truncate(2**26)
    report = ingest(IngestRequest(tmp_path / "in", tmp_path / "store"), secret=b"k")
    assert report.files[0].code is IngestCode.UNREADABLE_HEADER

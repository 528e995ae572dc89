"""What is found in a source: by walking, by a DICOMDIR, in any encoding, whole or not."""

from __future__ import annotations

import os
import threading
import time

import pydicom
import pytest
from pydicom.fileset import FileSet

from data_contracts import Action, IngestCode, IngestPolicy, Outcome, OutputError
from medkd.dicom.discover import discover, quiet_dicom, read_file
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.phantom_cases import VARIANTS, write_case

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


@pytest.mark.parametrize("variant", sorted(BY_NAME))
def test_headers_are_those_that_pydicom_reads(tmp_path, variant):
    for case in ("regular", "enhanced"):
        for path in write_case(tmp_path / case, case, BY_NAME[variant])[:2]:
            found, wanted = read_file(path, "x").header, pydicom.dcmread(path, stop_before_pixels=True)
            assert found == wanted
            assert found.file_meta == wanted.file_meta
            assert found.original_encoding == wanted.original_encoding


def test_real_headers_are_those_that_pydicom_reads(real_data):
    read = 0
    for path in sorted((real_data / "dicom_real").rglob("*.dcm")):
        found = read_file(path, "x")
        if found.header is None or found.code is not None:
            continue
        with quiet_dicom():
            wanted = pydicom.dcmread(path, stop_before_pixels=True)
            assert found.header == wanted
            assert found.header.file_meta == wanted.file_meta
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
    monkeypatch.setattr("medkd.dicom.discover._AT_ONCE", 10)
    streamed = read_file(path, "x")
    assert (at_once.digest, at_once.header, at_once.pixels) == (streamed.digest, streamed.header, streamed.pixels)
    monkeypatch.undo()
    monkeypatch.setattr("medkd.dicom.discover._HEADER_BYTES", 64)
    assert read_file(path, "x").pixels == at_once.pixels


def test_slow_sources_are_read_in_threads_with_the_same_result(tmp_path, monkeypatch):
    from medkd.dicom import discover as module

    write_case(tmp_path / "in", "regular")
    fast = discover(tmp_path / "in", tmp_path / "scratch")
    real, threads = module._fetch, set()

    def slow(path):
        threads.add(threading.get_ident())
        time.sleep(0.01)
        return real(path)

    monkeypatch.setattr(module, "_fetch", slow)
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

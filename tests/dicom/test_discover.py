"""What is found in a source: on a disc, in archives, in archives of archives."""

from __future__ import annotations

import gzip
import os
import zipfile

import pytest
from pydicom.fileset import FileSet

from data_contracts import IngestCode, IngestPolicy, Outcome, OutputError
from medkd.dicom.discover import discover
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import write_case


def found(source, tmp_path, **more):
    return {file.relative: file.code for file in discover(source, tmp_path / "scratch", **more)}


@pytest.fixture
def source(tmp_path):
    write_case(tmp_path / "in" / "ct", "regular")
    return tmp_path / "in"


def ingested(source, tmp_path, policy=None):
    report = ingest(IngestRequest(source, tmp_path / "store", policy or IngestPolicy()), secret=b"k")
    assert len(report.files) == sum(report.count(outcome) for outcome in Outcome)
    assert len({file.path for file in report.files}) == len(report.files)
    return report


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


def packed(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, payload in members.items():
            archive.writestr(name, payload)
    return path


def test_archives_in_archives_are_opened_and_every_member_listed(source, tmp_path):
    files = {f"p/{path.name}": path.read_bytes() for path in (source / "ct").iterdir()}
    inner = packed(tmp_path / "inner.zip", files).read_bytes()
    packed_in = tmp_path / "packed"
    packed_in.mkdir()
    packed(packed_in / "outer.zip", {"patient 1.zip": inner, "readme.txt": b"hello"})
    report = ingested(packed_in, tmp_path)
    assert report.count(Outcome.ACCEPTED) == 14
    assert report.codes() == {"ARCHIVE_OPENED": 2, "NOT_DICOM": 1}
    assert {f"outer.zip/patient 1.zip/{name}" for name in files} <= {file.path for file in report.files}
    assert ingest(IngestRequest(packed_in, tmp_path / "store"), secret=b"k").decoded_files == 0


@pytest.mark.parametrize("levels", [3, 4, 6])
def test_archives_are_opened_to_a_bounded_depth(tmp_path, levels):
    payload = b"x"
    for level in range(levels):
        payload = packed(tmp_path / "level.zip", {"x.txt" if not level else "next.zip": payload}).read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "top.zip").write_bytes(payload)
    codes = list(found(tmp_path / "in", tmp_path).values())
    assert codes == [IngestCode.ARCHIVE_OPENED] * 3 + [IngestCode.NOT_DICOM if levels == 3 else IngestCode.ARCHIVE_TOO_DEEP]


@pytest.mark.parametrize("nested", ["zip", "gz"])
def test_a_bomb_that_is_nested_is_counted_with_what_it_lies_in(tmp_path, nested):
    zeros = bytes(80 * 2**20)
    inner = packed(tmp_path / "inner.zip", {"zeros": zeros}).read_bytes() if nested == "zip" else gzip.compress(zeros)
    (tmp_path / "in").mkdir()
    packed(tmp_path / "in" / "outer.zip", {f"inner.{nested}": inner})
    codes = found(tmp_path / "in", tmp_path)
    assert codes == {"outer.zip": IngestCode.ARCHIVE_OPENED, f"outer.zip/inner.{nested}": IngestCode.ZIP_BOMB}
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file() and path.stat().st_size > 2**20]


def test_files_that_gzip_compressed_are_read(source, tmp_path):
    for path in sorted((source / "ct").iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    (source / "broken.dcm.gz").write_bytes(gzip.compress(b"x" * 5000)[:-9])
    report = ingested(source, tmp_path)
    assert report.count(Outcome.ACCEPTED) == 14
    assert report.codes() == {"ARCHIVE_OPENED": 14, "ARCHIVE_UNREADABLE": 1}
    assert "ct/IM0000.dcm.gz/IM0000.dcm" in {file.path for file in report.files}


def test_a_member_that_is_there_twice_has_two_lines(tmp_path):
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w") as archive:
        archive.writestr("x.txt", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.txt", b"2")
    assert sorted(found(tmp_path / "in", tmp_path)) == ["a.zip", "a.zip/x.txt", "a.zip/x.txt (2)"]

from __future__ import annotations

import stat
import zipfile

import pytest

from data_contracts import IngestCode, IngestError, Outcome
from medkd.dicom.archive import is_archive, unpack
from medkd.phantom.dicom_faults import write_case
from tests.dicom.ingesting import ingest_folder


def zipped(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as opened:
        for name, payload in files.items():
            opened.writestr(name, payload)
    return path


def code_of(path, folder):
    with pytest.raises(IngestError) as caught:
        unpack(path, folder)
    assert not folder.exists()
    return caught.value.ingest_code


def test_members_are_unpacked_under_numbers_and_keep_their_names_in_the_ledger(tmp_path):
    path = zipped(tmp_path / "a.zip", {"Doe Jane/IM1": b"one", "Doe Jane/IM2": b"two"})
    members = unpack(path, tmp_path / "out")
    assert [(m.name, m.path.name, m.path.read_bytes()) for m in members] == [
        ("Doe Jane/IM1", "000000", b"one"),
        ("Doe Jane/IM2", "000001", b"two"),
    ]


@pytest.mark.parametrize("name", ["../out.dcm", "/etc/passwd", "a/../../b", "..\\up.dcm", "C:/x"])
def test_a_path_that_leaves_the_archive_is_refused(tmp_path, name):
    assert code_of(zipped(tmp_path / "a.zip", {"good": b"x", name: b"y"}), tmp_path / "out") is IngestCode.PATH_ESCAPE


def test_a_link_is_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(info, "/etc/passwd")
    assert code_of(tmp_path / "a.zip", tmp_path / "out") is IngestCode.PATH_ESCAPE


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = zipped(tmp_path / "a.zip", {"zeros": bytes(80 * 2**20)})
    assert code_of(path, tmp_path / "out") is IngestCode.ZIP_BOMB


def test_a_member_that_is_larger_than_it_says_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"x": b"y" * 5000})
    payload = bytearray(path.read_bytes())
    directory = payload.index(b"PK\x01\x02")
    for place in (22, directory + 24):  # the size in the local header and in the directory
        assert int.from_bytes(payload[place : place + 4], "little") == 5000
        payload[place : place + 4] = (100).to_bytes(4, "little")
    path.write_bytes(payload)
    assert code_of(path, tmp_path / "out") is IngestCode.ARCHIVE_UNREADABLE


def test_a_broken_archive_is_named(tmp_path):
    path = zipped(tmp_path / "a.zip", {"x": b"y" * 500})
    path.write_bytes(path.read_bytes()[:100])
    assert is_archive(path)
    assert code_of(path, tmp_path / "out") is IngestCode.ARCHIVE_UNREADABLE


def test_a_zipped_series_is_ingested_like_a_folder_and_leaves_nothing_behind(tmp_path):
    files = {f"study/{path.name}": path.read_bytes() for path in write_case(tmp_path / "case", "regular")}
    (tmp_path / "in").mkdir()
    zipped(tmp_path / "in" / "export.zip", files)
    report = ingest_folder(tmp_path / "in", tmp_path / "store", secret=b"k")
    assert report.count(Outcome.ACCEPTED) == len(files)
    assert report.codes() == {"ARCHIVE_OPENED": 1}
    assert {f.path for f in report.files} == {"export.zip", *(f"export.zip/{name}" for name in files)}
    assert len(report.series) == 1
    assert not (tmp_path / "store" / ".unpacked").exists()
    again = ingest_folder(tmp_path / "in", tmp_path / "store", secret=b"k")
    assert again.decoded_files == 0

"""Bytes are the same however they are fetched: at once, in a stream, in threads."""

from __future__ import annotations

import threading
import time

import pytest

from medkd.dicom.discover import discover
from medkd.dicom.read_header import read_file
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS

BY_NAME = {variant.name: variant for variant in VARIANTS}


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

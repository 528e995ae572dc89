"""What is known of a file of the source, whether it may be read or not."""

from __future__ import annotations

import hashlib

import pytest

from data_contracts import IngestCode
from medkd.dicom.found_file import UNREAD, FoundFile
from tests.dicom.invented import found


def test_the_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert FoundFile(tmp_path / "a", "a", "x", None).sha256 == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("code", sorted(UNREAD))
def test_what_may_not_be_read_has_a_name_of_its_own_instead(tmp_path, code):
    (tmp_path / "a").write_bytes(b"abc")
    files = [FoundFile(tmp_path / "a", name, "", None, code) for name in ("a", "b")]
    assert not any(file.readable for file in files)
    assert len({file.sha256 for file in files} | {hashlib.sha256(b"abc").hexdigest()}) == 3


def test_a_file_that_is_gone_is_not_readable():
    assert not found("nowhere").readable
    assert not found("x" * 5000, code=IngestCode.NOT_DICOM).readable

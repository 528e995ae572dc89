"""Files of a source: folders and zips, nothing outside of them."""

from __future__ import annotations

import zipfile

import pytest

from data_contracts import SourceError
from medkd.foreign.source_files import open_source


@pytest.mark.parametrize("name", ["../out.json", "/abs.json", "a/../../b.json", "a\\..\\b.json"])
def test_a_zip_that_would_leave_its_folder_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as packed:
        packed.writestr(name, "{}")
    with pytest.raises(SourceError) as caught, open_source(tmp_path / "s.zip"):
        pass
    assert caught.value.code == "SOURCE_UNSAFE"


def test_what_is_no_zip_or_not_there(tmp_path):
    (tmp_path / "s.zip").write_bytes(b"PK nonsense")
    for path, code in ((tmp_path / "s.zip", "SOURCE_UNREADABLE"), (tmp_path / "none", "SOURCE_MISSING")):
        with pytest.raises(SourceError) as caught, open_source(path):
            pass
        assert caught.value.code == code


@pytest.mark.parametrize("text", ["[1]", "{", "\x00", "[" * 9000])
def test_fields_that_are_none_are_said(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with open_source(tmp_path) as files, pytest.raises(SourceError) as caught:
        files.fields("a.json")
    assert caught.value.code == "SOURCE_UNREADABLE"


def test_what_is_read_is_hashed(tmp_path):
    (tmp_path / "a.yaml").write_text("b: 1")
    with open_source(tmp_path) as files:
        assert files.fields("a.yaml") == {"b": 1}
        assert len(files.read["a.yaml"]) == 64
        with pytest.raises(SourceError) as caught:
            files.path("b.yaml")
    assert caught.value.code == "SOURCE_INCOMPLETE"

from __future__ import annotations

import shutil

import pytest

from data_contracts import IngestPolicy, OutputError
from flows.ingest_watch import ingest_watch
from flows.site import Site


@pytest.fixture
def site(here, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_SECRET", "of the tests")
    assert here("phantom", "--case", "regular", "--out", tmp_path / "made")[0] == 0
    (tmp_path / "in").mkdir()
    return Site.claimed(tmp_path / "site")


def look(site, tmp_path):
    return ingest_watch(site, tmp_path / "in", 0.0, IngestPolicy())


def test_a_study_is_taken_once_and_what_is_no_study_does_not_keep_others_waiting(site, tmp_path):
    assert look(site, tmp_path).arrivals == 0
    shutil.copytree(tmp_path / "made", tmp_path / "in" / "one")
    (tmp_path / "in" / "a.zip").write_bytes(b"PK\x03\x04 and no more")
    first = look(site, tmp_path)
    assert (first.arrivals, len(first.accepted)) == (2, 1)
    assert look(site, tmp_path).arrivals == 0
    # The same images under another name are the same series.
    shutil.copytree(tmp_path / "made", tmp_path / "in" / "again")
    again = look(site, tmp_path)
    assert (again.arrivals, again.accepted) == (1, ())


def test_a_store_that_cannot_be_written_to_loses_no_study(site, tmp_path):
    shutil.copytree(tmp_path / "made", tmp_path / "in" / "one")
    (site.root / "studies").write_text("in the way")
    with pytest.raises(OutputError):
        look(site, tmp_path)
    (site.root / "studies").unlink()
    assert len(look(site, tmp_path).accepted) == 1

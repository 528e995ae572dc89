"""The table leads from a series to its source, and lies where names of files may lie."""

from __future__ import annotations

import csv

from data_contracts import StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.series_table import COLUMNS, TABLE, write_series_table
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import find_variant


def ingested(tmp_path, *, nifti=False):
    report = ingest(IngestRequest(tmp_path / "in", tmp_path / "store", nifti=nifti), secret=b"k")
    return report, load_record(tmp_path / "store" / "manifest.json", StoreManifest)


def test_the_table_in_the_quarantine_leads_to_the_source_and_remembers(tmp_path):
    write_case(tmp_path / "in" / "Doe, Jane", "regular")
    report, _ = ingested(tmp_path, nifti=True)
    write_case(tmp_path / "more", "regular", find_variant("coronal"), seed=3)
    ingest(IngestRequest(tmp_path / "more", tmp_path / "store"), secret=b"k")
    with (tmp_path / "store" / "quarantine" / "series.csv").open(newline="") as stream:
        rows = {row["series_key"]: row for row in csv.DictReader(stream)}
    assert len(rows) == 2
    row = rows[report.series[0].series_key]
    assert (row["source"], row["files"]) == (str(tmp_path / "in"), "14")
    assert (tmp_path / "in" / row["first_file"]).is_file()
    assert (tmp_path / "store" / row["nifti"]).is_file()
    outside = [path for path in (tmp_path / "store").rglob("*") if path.is_file() and "quarantine" not in path.parts]
    assert not [path for path in outside if b"Jane" in path.read_bytes() or "Jane" in path.name]


def row(key, words="x"):
    return {"series_key": key, "words": words, "more": "is left out"}


def test_a_line_is_replaced_by_a_newer_one_and_others_stay(tmp_path):
    write_series_table(tmp_path, [row("s2"), row("s1", "old")])
    path = write_series_table(tmp_path, [row("s1", "new")])
    assert path == tmp_path / TABLE
    with path.open(newline="") as stream:
        assert [(line["series_key"], line["words"]) for line in csv.DictReader(stream)] == [("s1", "new"), ("s2", "x")]
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_names_that_are_no_text_are_escaped_and_a_broken_table_is_begun_anew(tmp_path):
    (tmp_path / TABLE).parent.mkdir()
    (tmp_path / TABLE).write_bytes(b"\xff\xfe")
    path = write_series_table(tmp_path, [row("s1", "M\udcfcller")])
    assert "M\\udcfcller" in path.read_text()

"""What `medkd ingest` says to a person: every series with its key, in lines that fit."""

from __future__ import annotations

import json

from medkd.phantom.dicom_faults import CASES, write_case


def test_every_series_is_said_with_its_key_in_100_columns(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in CASES:
        write_case(tmp_path / "in" / ("long" * 40) / name, name, seed=len(name))
    status, text, errors = here("ingest", "in", "--policy", "repair")
    assert status == 0, errors
    assert max(map(len, text.splitlines())) <= 100
    summary = json.loads(here("ingest", "in", "--policy", "repair", "--json")[1].splitlines()[-1])
    assert len(summary["series"]) > 3
    said = " ".join(text.split())
    assert all(f"{series['series_key']} {series['words']} residual" in said for series in summary["series"])

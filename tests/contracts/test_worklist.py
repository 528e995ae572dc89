from __future__ import annotations

from datetime import UTC, datetime

from data_contracts import Worklist, WorklistEntry


def entry(key, model, findings=0):
    return WorklistEntry(series_key=key, model=model, outcome="reported", findings=findings, at=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_series_is_on_the_list_once_per_version():
    listed = Worklist().add(entry("sa", "models:/m/1"), entry("sa", "models:/m/2")).add(entry("sa", "models:/m/1", findings=2))
    assert [(one.model, one.findings) for one in listed.entries] == [("models:/m/2", 0), ("models:/m/1", 2)]
    assert "sa" in listed.series_of("models:/m/1")
    assert not listed.series_of("models:/m/3")
    assert "sb" not in listed.series_of("models:/m/1")

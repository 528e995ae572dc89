from __future__ import annotations

from datetime import UTC, datetime

import pytest

from data_contracts import OutputError, StoreError, Worklist, WorklistEntry
from flows.site import Site


def entry(key, model="models:/m/1", **changes):
    return WorklistEntry(series_key=key, model=model, outcome="reported", page="p", at=datetime(2026, 1, 1, tzinfo=UTC), **changes)


def test_a_site_is_a_folder_of_ours(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.txt").write_text("x")
    with pytest.raises(OutputError):
        Site.claimed(tmp_path / "theirs")
    assert Site.claimed(tmp_path / "site").store == tmp_path / "site" / "studies"


def test_the_worklist_is_kept_and_a_change_of_it_is_noticed(tmp_path):
    site = Site.claimed(tmp_path / "site")
    assert site.worklist() == Worklist()
    site.add(entry("sa"), entry("sb"))
    site.add(entry("sa", findings=3))
    assert [(one.series_key, one.findings) for one in site.worklist().entries] == [("sb", 0), ("sa", 3)]
    path = site.worklist_folder / "worklist.json"
    path.write_bytes(path.read_bytes().replace(b'"sb"', b'"sc"'))
    with pytest.raises(StoreError) as caught:
        site.worklist()
    assert caught.value.code == "WORKLIST_ALTERED"
    with pytest.raises(StoreError):
        site.add(entry("sd"))


def test_an_entry_is_replaced_in_its_place(tmp_path):
    site = Site.claimed(tmp_path / "site")
    site.add(entry("sa"), entry("sb"))
    site.replace(entry("sa", results="results/1"), entry("sc"))
    assert [(one.series_key, one.results) for one in site.worklist().entries] == [("sa", "results/1"), ("sb", None)]


def test_one_deployment_at_a_time_works_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.site.WAIT_S", 0.2)
    site = Site.claimed(tmp_path / "site")
    with site.alone(), pytest.raises(OutputError) as caught, site.alone():
        pass
    assert caught.value.code == "RUN_BUSY"
    with site.alone():
        pass

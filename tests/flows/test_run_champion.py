from __future__ import annotations

import shutil

import pytest

from data_contracts import RegistryError
from flows.run_champion import run_champion
from flows.site import Site

pytestmark = pytest.mark.xdist_group("demo")
MODEL = "models:/phantom-segmentation-teacher/1"


def test_each_series_is_asked_about_once_and_what_the_model_cannot_read_says_why(smoke, here, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_SECRET", "of the tests")
    site, uri = Site.claimed(tmp_path / "site"), smoke.summary["tracking_uri"]
    assert run_champion(site, uri, (MODEL,)) == ()  # nothing came in yet
    shutil.copytree(smoke.folder / "dicom" / "study001", tmp_path / "in" / "study001")
    assert here("phantom", "--case", "regular", "--out", tmp_path / "in" / "odd")[0] == 0
    assert here("ingest", tmp_path / "in", "--out", site.store)[0] == 0
    first = run_champion(site, uri, (MODEL,), 1)
    second = run_champion(site, uri, (MODEL,))
    assert sorted(one.outcome for one in (*first, *second)) == ["refused", "reported"]
    assert run_champion(site, uri, (MODEL,)) == ()
    (page,) = [one.page for one in site.worklist().entries if one.page]
    index = (site.worklist_folder / "index.html").read_text()
    assert f'href="{page}"' in index
    assert "GRID_MISMATCH" in index
    assert (site.worklist_folder / page).is_file()


def test_an_alias_that_nobody_set_is_said(smoke, here, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_SECRET", "of the tests")
    site = Site.claimed(tmp_path / "site")
    assert here("phantom", "--case", "regular", "--out", tmp_path / "in")[0] == 0
    assert here("ingest", tmp_path / "in", "--out", site.store)[0] == 0
    with pytest.raises(RegistryError) as caught:
        run_champion(site, smoke.summary["tracking_uri"], ("models:/phantom-segmentation-teacher@nobody",))
    assert caught.value.code == "VERSION_UNKNOWN"

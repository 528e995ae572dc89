from __future__ import annotations

import shutil

import pytest

from data_contracts import RegistryError
from flows.run_champion import run_champion
from flows.site import Site
from medkd.drift.profile_explained import profile_explained
from medkd.drift.reference import make_reference
from medkd.explanation.artefact import read_explanation
from medkd.registry.version_files import open_registry
from medkd.storage.workspace import Workspace
from tests.cohorts.test_dicom_series import write_study
from tests.flows.test_ingested_study import registered

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


def test_a_model_of_several_images_waits_for_the_second_and_is_asked_once(here, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_SECRET", "of the tests")
    site = Site.claimed(tmp_path / "site")
    uris, tracking = registered(tmp_path / "run", both=("t2", "t1"))
    write_study(tmp_path / "study", 0)
    shutil.copytree(tmp_path / "study" / "three", tmp_path / "in" / "three")
    assert here("ingest", tmp_path / "in", "--out", site.store)[0] == 0
    assert run_champion(site, tracking, (uris["both"],)) == ()
    assert site.worklist().entries == ()
    shutil.copytree(tmp_path / "study" / "one", tmp_path / "in" / "one")
    assert here("ingest", tmp_path / "in", "--out", site.store)[0] == 0
    (entry,) = run_champion(site, tracking, (uris["both"],))
    assert entry.outcome == "reported"
    assert run_champion(site, tracking, (uris["both"],)) == ()
    record = read_explanation(next((site.worklist_folder / entry.page).parent.glob("explanations/*")))[0]
    assert record.volume.series_key == entry.series_key
    assert len(record.further) == 1
    # Drift is looked for in what its network sees: all images.
    registry = open_registry(Workspace(site.root, tracking))
    reference = make_reference(registry, uris["both"], site.store)[1]
    explained = [(entry.series_key, (site.worklist_folder / entry.page).parent)]
    (profiled,) = profile_explained(Workspace(site.root, tracking), site.store, uris["both"], explained, tmp_path / "profiles")
    assert reference.studies == (profiled.profile,)
    assert reference.refused == {}

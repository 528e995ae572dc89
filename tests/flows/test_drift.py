"""The flow on a real registry and a site's worklist: what is compared, kept, shown and sent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from data_contracts import DriftReport, StoreError
from flows import drift as module
from flows.drift import drift, drift_folder, read_report, reported
from flows.site import Site
from medkd.drift.compare_window import DriftSettings
from medkd.drift.reference import attach_reference, make_reference
from tests.drift.drift_site import drift_site

pytestmark = pytest.mark.xdist_group("drift")
#: Three studies beside three: an alarm at one in two is the most that so few can say.
SETTINGS = DriftSettings(alarm_rate=0.5, window_studies=3, permutations=99)


@pytest.fixture
def site(tmp_path):
    one = drift_site()
    attach_reference(one.registry, *make_reference(one.registry, one.uri, one.store))
    shutil.copytree(one.site.root, tmp_path / "site")
    return one, Site.claimed(tmp_path / "site")


def run(site, settings=SETTINGS):
    one, place = site
    (found,) = drift(place, one.workspace.tracking_uri, (one.uri,), settings)
    return found


def test_a_window_is_compared_once_and_report_table_and_picture_lie_beside_it(site):
    found = run(site)
    assert (found.new, len(found.report.windows), found.report.waiting) == (1, 1, 0)
    folder = drift_folder(site[1], site[0].uri)
    assert found.said in (folder / "report.md").read_text()
    assert (folder / "drift.png").read_bytes().startswith(b"\x89PNG")
    assert read_report(site[1], site[0].uri) == found.report
    again = run(site)
    assert (again.new, again.report) == (0, found.report)
    assert again.said == f"too few studies: 0 of 3; before: {found.said}"


def test_too_few_studies_are_counted_and_nothing_is_compared(site):
    found = run(site, DriftSettings(alarm_rate=0.5, window_studies=4, permutations=99))
    assert (found.report, found.new, found.said) == (None, 0, "too few studies: 3 of 4")
    assert not drift_folder(site[1], site[0].uri).exists()


def test_drift_is_told_and_no_drift_is_not(site, monkeypatch):
    """The reference is given other images: so much brighter that three studies tell."""
    sent = []
    monkeypatch.setattr(module, "notify", sent.append)
    one = site[0]
    model, made = make_reference(one.registry, one.uri, one.store)
    same = made.model_copy(update={"studies": tuple(p.profile for p in _profiles(site)), "patients": (0, 1, 2)})
    attach_reference(one.registry, model, same)
    assert run(site).report.windows[0].alarm is False
    assert sent == []
    moved = tuple(p.model_copy(update={"images": {n: v + 9 for n, v in p.images.items() if v is not None}}) for p in same.studies) * 4
    attach_reference(
        one.registry, model, same.model_copy(update={"studies": moved, "patients": tuple(range(12)), "performance": (None,) * 12})
    )
    found = run(site)
    assert found.report.windows[0].alarm is True
    (said,) = sent
    assert said["flow"] == "drift"
    assert said["message"].startswith("window 1 (3 studies of")
    assert "the images moved first" in said["message"]
    assert not [one.series_key for one in site[1].worklist().entries if one.series_key in json.dumps(said)]


def _profiles(site):
    one, place = site
    studies = [(e.series_key, (place.worklist_folder / e.page).parent) for e in place.worklist().entries]
    return module.profile_explained(one.workspace, place.store, one.uri, studies, place.root / "own")


def test_an_altered_report_is_refused(site):
    run(site)
    path: Path = drift_folder(site[1], site[0].uri) / "report.json"
    path.write_bytes(path.read_bytes().replace(b'"alarm_rate":0.5', b'"alarm_rate":0.4'))
    with pytest.raises(StoreError) as caught:
        run(site)
    assert caught.value.code == "DRIFT_REPORT_ALTERED"


def test_only_what_the_version_reported_counts(site):
    one, place = site
    assert len(reported(place, one.uri)) == 3
    assert reported(place, "models:/another/1") == []
    assert DriftReport.SCHEMA == "drift_report/1"

from __future__ import annotations

import shutil

import pytest

from data_contracts import ExplanationError, StoreError
from medkd.dicom.ingest_cache import read_manifest
from medkd.drift.profile_explained import kept_profile, profile_explained
from medkd.drift.reference import make_reference
from medkd.registry.interface import resolve
from tests.drift.drift_site import STUDIES, drift_site

pytestmark = [pytest.mark.xdist_group("drift"), pytest.mark.extended]  # tests/flows/test_drift.py goes through it in every run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    one, out = drift_site(), tmp_path_factory.mktemp("profiles")
    studies = [(e.series_key, (one.site.worklist_folder / e.page).parent) for e in one.site.worklist().entries]
    return one, studies, out, profile_explained(one.workspace, one.site.store, one.uri, studies, out)


def test_each_study_of_the_worklist_has_a_profile_that_is_kept(made):
    one, studies, out, found = made
    weights = resolve(one.registry, one.uri).weights_digest
    assert [profile.series_key for profile in found] == [key for key, _ in studies]
    assert len({profile.patient_key for profile in found}) in (STUDIES - 1, STUDIES)  # every fourth phantom patient has two studies
    assert [kept_profile(out, key, weights) for key, _ in studies] == list(found)
    assert kept_profile(out, studies[0][0], "f" * 64) is None  # of other weights
    assert kept_profile(out, "another", weights) is None


def test_a_profile_from_the_worklist_is_the_one_that_a_reference_makes_of_the_same_study(made):
    one, _, _, found = made
    reference = make_reference(one.registry, one.uri, one.site.store)[1]
    order = [volume.series_key for volume in read_manifest(one.site.store).volumes]
    by_key = {profile.series_key: profile.profile for profile in found}
    assert list(reference.studies) == [by_key[key] for key in order]


def test_a_kept_profile_that_was_altered_is_refused(made, tmp_path):
    one, studies, out, _ = made
    shutil.copytree(out, tmp_path / "copy")
    path = tmp_path / "copy" / f"{studies[0][0]}.json"
    path.write_bytes(path.read_bytes().replace(b'"modality":"CT"', b'"modality":"MR"'))
    with pytest.raises(StoreError) as caught:
        kept_profile(tmp_path / "copy", studies[0][0], resolve(one.registry, one.uri).weights_digest)
    assert caught.value.code == "PROFILE_ALTERED"


@pytest.mark.parametrize("gone", ["report", "series"])
def test_what_is_gone_is_named(made, tmp_path, gone):
    one, studies, _, _ = made
    asked = [(studies[0][0], tmp_path)] if gone == "report" else [("another", studies[0][1])]
    with pytest.raises(ExplanationError) as caught:
        profile_explained(one.workspace, one.site.store, one.uri, asked, tmp_path)
    assert caught.value.code == "EXPLANATION_UNKNOWN"

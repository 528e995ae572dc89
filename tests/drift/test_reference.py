"""The reference of a registered model: made of a store, kept beside the version, refused where it was altered."""

from __future__ import annotations

import pytest

from data_contracts import ClassAnswer, DataError, NetworkSpec, RegistryError
from medkd.dicom.ingest_cache import read_manifest
from medkd.drift import reference as module
from medkd.drift.reference import FILE, PLACE, TAG, attach_reference, load_reference, make_reference, reference_text, share_right
from medkd.registry.interface import resolve
from tests.drift.drift_site import STUDIES, drift_site
from tests.drift.phantom_drift import TASK
from tests.drift.profiles import reference
from tests.registered import register_tiny

pytestmark = pytest.mark.xdist_group("drift")
#: What asks the registry takes as long as its model takes to be registered; tests/flows/test_drift.py does so in every run.
slow = pytest.mark.extended


@pytest.fixture(scope="module")
def made():
    one = drift_site()
    return one, *make_reference(one.registry, one.uri, one.store)


@slow
def test_a_reference_is_made_kept_and_read_back_by_its_digest(made):
    one, model, found = made
    assert (found.model, found.measure, len(found.studies), found.refused) == (one.uri, "dice", STUDIES, {})
    assert all(0 <= value <= 1 for value in found.performance)
    assert found.patients[0] == 0
    attach_reference(one.registry, model, found)
    assert one.registry.tags(model)[TAG] == found.digest()
    assert load_reference(one.registry, model) == found


@slow
def test_it_holds_no_pseudonym_of_a_patient(made):
    one, _, found = made
    text = found.canonical_json().decode()
    keys = {key for volume in read_manifest(one.store).volumes for key in (volume.patient_key, volume.series_key, volume.study_key)}
    assert len(keys) > STUDIES
    assert not [key for key in keys if key in text]


@slow
def test_one_that_was_altered_is_refused(made):
    one, model, found = made
    attach_reference(one.registry, model, found)
    (path,) = (one.run / "mlartifacts").rglob(f"{PLACE}/{FILE}")
    payload = path.read_bytes()
    path.write_bytes(payload.replace(b'"measure":"dice"', b'"measure":"accuracy"'))
    with pytest.raises(RegistryError) as caught:
        load_reference(one.registry, model)
    assert caught.value.code == "DRIFT_REFERENCE_ALTERED"
    path.write_bytes(payload)
    assert load_reference(one.registry, model) == found


@slow
def test_a_version_without_one_says_how_to_make_it(made):
    one = made[0]
    other = register_tiny(one.run, TASK, NetworkSpec(builder="unet", options={"channels": (4, 8)}), name="other")
    with pytest.raises(RegistryError, match="medkd drift reference") as caught:
        load_reference(one.registry, resolve(one.registry, other))
    assert caught.value.code == "NO_DRIFT_REFERENCE"


@slow
def test_a_store_of_patients_it_was_trained_on_is_no_reference(made, monkeypatch):
    """The training manifest is replaced, as nobody would train on three patients for a test of a comparison of names."""
    one = made[0]
    patients = [volume.patient_key for volume in read_manifest(one.store).volumes]
    monkeypatch.setattr(module, "_training_patients", lambda *_: frozenset(patients[:1]))
    some = make_reference(one.registry, one.uri, one.store)[1]
    assert some.training_patients_left_out == patients.count(patients[0])
    assert len(some.studies) == STUDIES - some.training_patients_left_out
    monkeypatch.setattr(module, "_training_patients", lambda *_: frozenset(patients))
    with pytest.raises(DataError) as caught:
        make_reference(one.registry, one.uri, one.store)
    assert caught.value.code == "NO_VOLUME"


def test_the_share_of_right_slices_is_counted(student):
    answers = tuple(
        ClassAnswer(number=n, class_name=name, probability=0.5, first_slice=first, last_slice=last, key_slice=first)
        for n, first, last, name in ((1, 0, 2, "a"), (2, 3, 3, "b"))
    )
    record = student[1][0].model_copy(update={"answers": answers})
    assert share_right(record, "a") == 0.75
    assert share_right(record, None) is None


def test_it_says_what_it_is_made_of():
    assert reference_text(reference(4, performance=(0.5, None, 0.7, None), training_patients_left_out=2, refused={"GRID_MISMATCH": 1})) == [
        "4 studies of 4 patients, dice 0.600 on 2 labelled ones",
        "2 studies left out: the model was trained on their patients",
        "refused: 1 GRID_MISMATCH",
    ]
    assert reference_text(reference(2, performance=(None, None))) == ["2 studies of 2 patients, none of them labelled"]

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import flows
from data_contracts import Cohort, Part, read_record
from medkd.training.objective import read_recipe
from medkd.volumes.phantom_cohorts import prepare_phantom_cohorts
from medkd.volumes.store import Store
from medkd.volumes.tensor_cohort import open_use

RECIPES = Path(flows.__file__).parent / "recipes"
SMALL = {
    "data.teacher": 32,
    "data.teacher_validation": 16,
    "data.student": 24,
    "data.test": 16,
    "data.debiased": 40,
    "data.reversed": 16,
    "data.marker_pairs": 8,
    "seeds": [0, 1],
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    recipe = read_recipe(RECIPES / "phantom-classification.yaml", SMALL)
    store = Store(tmp_path_factory.mktemp("cohorts"), "run")
    return recipe, store, prepare_phantom_cohorts(recipe, recipe.data, store)


def test_every_purpose_has_its_cohort_marked_as_phantom(prepared):
    _, store, cohorts = prepared
    assert set(cohorts.uses) == {
        "teacher_train",
        "teacher_validation",
        "student_train/0",
        "student_train/1",
        "test",
        "debiased",
        "reversed",
        "marker_pairs",
    }
    for use in cohorts.uses.values():
        assert read_record(store.path(use.cohort).read_bytes(), Cohort).origin == "phantom-direct"
    assert all(certificate.clean for certificate in cohorts.certificates)


def test_the_biases_are_the_recipes(prepared):
    recipe, store, cohorts = prepared
    same, reverse = (open_use(cohorts, purpose, store, recipe.task) for purpose in ("test", "reversed"))
    assert float((same.markers == (same.labels == 1)).float().mean()) > 0.7
    assert float((reverse.markers == (reverse.labels == 1)).float().mean()) < 0.3


def test_marker_pairs_differ_in_the_marker_alone(prepared):
    recipe, store, cohorts = prepared
    pairs = open_use(cohorts, "marker_pairs", store, recipe.task)
    assert len(pairs) == 16
    assert pairs.markers.tolist() == [True, False] * 8
    assert torch.equal(pairs.images[0::2, :, 12:], pairs.images[1::2, :, 12:])
    assert [c.patient_key for c in pairs.cases[0::2]] == [c.patient_key for c in pairs.cases[1::2]]


def test_no_two_cohorts_share_a_patient_or_a_picture(prepared):
    recipe, store, cohorts = prepared
    seen: dict[str, str] = {}
    for purpose in cohorts.uses:
        for case in open_use(cohorts, purpose, store, recipe.task).cases:
            for key in (case.patient_key, case.pixel_sha256):
                assert seen.setdefault(key, purpose) == purpose
    assert cohorts.uses["teacher_train"].part is Part.TRAIN

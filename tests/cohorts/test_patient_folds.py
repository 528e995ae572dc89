from __future__ import annotations

import pytest
import torch

from data_contracts import DataError
from medkd.cohorts.patient_folds import patient_folds, without_fold
from medkd.cohorts.tensor_cohort import open_use


def test_folds_are_even_disjoint_whole_and_the_same_for_everybody():
    patients = [f"p{number}" for number in range(23)]
    folds = patient_folds(patients, 5)
    assert sorted(map(len, folds)) == [4, 4, 5, 5, 5]
    assert sorted(one for fold in folds for one in fold) == sorted(patients)
    assert patient_folds(reversed([*patients, "p3"]), 5) == folds  # neither order nor repetition counts
    assert folds[0] != frozenset(sorted(patients)[::5])  # by their hash: neighbours in a table do not take turns


def test_fewer_patients_than_folds_are_refused():
    with pytest.raises(DataError, match="at least 3 patients") as caught:
        patient_folds(["a", "b", "a"], 3)
    assert caught.value.code == "FOLDS_EMPTY"


def test_all_cases_of_a_folds_patients_are_left_out(workspace, recipe, cohorts):
    cohort = open_use(cohorts, "teacher_train", workspace.store, recipe.task)
    kept = [without_fold(cohort, (number, 4)) for number in (1, 2, 3, 4)]
    for one, fold in zip(kept, patient_folds(cohort.patients(), 4), strict=True):
        assert set(one.patients()) == set(cohort.patients()) - fold
    assert sum(len(cohort) - len(one) for one in kept) == len(cohort)
    assert without_fold(cohort, None) is cohort
    assert torch.equal(kept[0].images[0], cohort.images[cohort.patients().index(kept[0].patients()[0])])

"""Folds of patients: a function of the patients' keys and the number of folds, so that everybody who asks finds the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch

from data_contracts import DataError
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort


def patient_folds(patients: Iterable[str], folds: int) -> tuple[frozenset[str], ...]:
    """Return the patients of each fold: as many in each, give or take one.

    Raises:
        DataError: ``FOLDS_EMPTY`` when there are fewer patients than folds.
    """
    # By their hash: neighbours in a table, of one site or one year, do not end in one fold.
    ordered = sorted(set(patients), key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    if len(ordered) < folds:
        raise DataError("FOLDS_EMPTY", f"expected at least {folds} patients for {folds} folds, got {len(ordered)}: ask for fewer folds")
    return tuple(frozenset(ordered[fold::folds]) for fold in range(folds))


def without_fold(cohort: TensorCohort | VolumeCohort, fold: tuple[int, int] | None) -> TensorCohort | VolumeCohort:
    """Return the cases of a cohort whose patients are not of a fold (number from 1, of how many); all of them for None."""
    if fold is None:
        return cohort
    number, folds = fold
    left_out = patient_folds(cohort.patients(), folds)[number - 1]
    return cohort.select(torch.tensor([row for row, patient in enumerate(cohort.patients()) if patient not in left_out], dtype=torch.int64))

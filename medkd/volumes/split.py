"""Splits by patient, and the certificate that nothing is on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from data_contracts import Cohort, CohortSet, DataError, LeakageCertificate, LeakageError, Part
from data_contracts.cohort import shared_patients


def split_by_patient(patients: Sequence[str], labels: Sequence[int], *, validation: float, seed: int) -> tuple[Part, ...]:
    """Return TRAIN or VALIDATION for each case: all cases of a patient together, classes stratified.

    Args:
        patients: patient of each case.
        labels: class of each case.
        validation: share of cases wanted for validation; realised as one fold of round(1 / validation), of fewer folds where a
            class has fewer patients.
        seed: seed of the shuffle.

    Raises:
        DataError: ``SPLIT_TOO_FEW`` when a class has fewer than two patients.
    """
    patients_of = {label: len({p for p, own in zip(patients, labels, strict=True) if own == label}) for label in set(labels)}
    if min(patients_of.values()) < 2:
        scarce = min(patients_of, key=lambda label: patients_of[label])
        raise DataError(
            "SPLIT_TOO_FEW", f"expected at least two patients of every class for a split, class {scarce} has {patients_of[scarce]}"
        )
    folds = min(max(2, round(1 / validation)), *patients_of.values())
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    _, held = next(splitter.split(np.zeros(len(labels)), np.asarray(labels), np.asarray(patients)))
    chosen = set(held.tolist())
    return tuple(Part.VALIDATION if row in chosen else Part.TRAIN for row in range(len(labels)))


def certify(cohort: Cohort) -> LeakageCertificate:
    """Check a cohort for patients and for pixel-identical images in two parts, and certify the result."""
    part_of = cohort.split.part_of()
    parts_of_pixels: dict[str, set[Part]] = {}
    for case in cohort.cases:
        if case.pixel_sha256 is not None:
            parts_of_pixels.setdefault(case.pixel_sha256, set()).add(part_of[case.case_key])
    patients = {part: len({case.patient_key for case in cohort.part(part)}) for part in cohort.split.parts}
    return LeakageCertificate(
        cohort_digest=cohort.digest(),
        patients=patients,
        shared_patients=tuple(shared_patients(cohort)),
        shared_pixel_digests=tuple(sorted(digest for digest, parts in parts_of_pixels.items() if len(parts) > 1)),
    )


def require_clean(cohorts: CohortSet, *, before: str) -> None:
    """Refuse cohorts that share patients or images between parts.

    Raises:
        LeakageError: ``NO_CLEAN_CERTIFICATE``.
    """
    unclean = [c for c in cohorts.certificates if not c.clean]
    if unclean:
        raise LeakageError(
            "NO_CLEAN_CERTIFICATE",
            f"expected clean leakage certificates before {before}, cohort {unclean[0].cohort_digest[:12]} shares patients or images",
        )

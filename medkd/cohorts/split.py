"""Splits by patient, and the certificate that nothing is on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from data_contracts import Case, Cohort, CohortSet, DataError, LeakageCertificate, LeakageError, Part, Subset, TrainingManifest
from data_contracts.cohort import shared_patients
from medkd.volumes.perceptual import near_duplicates


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
    from sklearn.model_selection import StratifiedGroupKFold  # scikit-learn takes two seconds to import: only who asks pays

    patients_of = {label: len({p for p, own in zip(patients, labels, strict=True) if own == label}) for label in set(labels)}
    if min(patients_of.values()) < 2:
        scarce = min(patients_of, key=lambda label: patients_of[label])
        raise DataError(
            "SPLIT_TOO_FEW", f"expected at least two patients of every class for a split, class {scarce} has {patients_of[scarce]}"
        )
    # With more folds than patients of a class some folds would lack it: scikit-learn only warns of that.
    folds = min(max(2, round(1 / validation)), *patients_of.values())
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    _, held = next(splitter.split(np.zeros(len(labels)), np.asarray(labels), np.asarray(patients)))
    chosen = set(held.tolist())
    return tuple(Part.VALIDATION if row in chosen else Part.TRAIN for row in range(len(labels)))


def certify(cohort: Cohort) -> LeakageCertificate:
    """Check a cohort for anything that two of its parts share, and certify the result."""
    part_of = cohort.split.part_of()
    patients = {part: len({case.patient_key for case in cohort.part(part)}) for part in cohort.split.parts}
    pairs = near_duplicates([case.perceptual_hash for case in cohort.cases], [case.patient_key for case in cohort.cases])
    keys = [case.case_key for case in cohort.cases]
    return LeakageCertificate(
        cohort_digest=cohort.digest(),
        patients=patients,
        shared_patients=tuple(shared_patients(cohort)),
        shared_pixel_digests=_shared(cohort, lambda case: case.pixel_sha256),
        shared_studies=_shared(cohort, lambda case: case.study_key),
        shared_frames=_shared(cohort, lambda case: case.frame_of_reference_key),
        near_duplicates=tuple((keys[a], keys[b]) for a, b in pairs if part_of[keys[a]] is not part_of[keys[b]]),
        hashed=sum(case.perceptual_hash is not None for case in cohort.cases),
    )


def _shared(cohort: Cohort, value: Callable[[Case], str | None]) -> tuple[str, ...]:
    """Return the values that occur in more than one part."""
    part_of, parts = cohort.split.part_of(), dict[str, set[Part]]()
    for case in cohort.cases:
        if (found := value(case)) is not None:
            parts.setdefault(found, set()).add(part_of[case.case_key])
    return tuple(sorted(found for found, where in parts.items() if len(where) > 1))


def require_clean(cohorts: CohortSet, *, before: str) -> None:
    """Refuse cohorts that share anything between parts.

    Raises:
        LeakageError: ``NO_CLEAN_CERTIFICATE``, naming what is shared.
    """
    for certificate in cohorts.certificates:
        for kind, shared in certificate.problems().items():
            raise LeakageError(
                "NO_CLEAN_CERTIFICATE",
                f"expected clean leakage certificates before {before}, parts of cohort {certificate.cohort_digest[:12]} share {len(shared)} {kind}: "
                f"{', '.join(shared[:5])}",
            )


#: Purposes that a model is tested on.
TESTS = (Subset.TEST, Subset.DEBIASED, Subset.REVERSED, Subset.MARKER_PAIRS, Subset.UNCUED, Subset.MISPLACED)


def require_unseen(teacher: TrainingManifest, tested: Iterable[str], *, student: str) -> None:
    """Refuse a student whose test patients its teacher was trained on: soft labels would tell it the answers.

    Raises:
        LeakageError: ``TEACHER_SAW_TEST_PATIENTS``, naming the patients' keys.
    """
    seen = sorted(set(teacher.patients) & set(tested))
    if seen:
        named = ", ".join(seen[:10]) + (f" and {len(seen) - 10} more" if len(seen) > 10 else "")
        raise LeakageError(
            "TEACHER_SAW_TEST_PATIENTS", f"expected a teacher that never saw the test patients of {student}, it was trained on {named}"
        )

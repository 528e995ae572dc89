"""Per-case results of a teacher and a student on invented cases, for tests of what is made of them."""

from __future__ import annotations

import numpy as np

from data_contracts import CaseResults, CaseUnits

TEACHER, STUDENT = "a" * 64, "b" * 64


def units_of(n, *, patients=None, labels=None, sizes=None, **attributes):
    """Return n cases; by default each of a patient of its own, classes in turn, one size of lesion."""
    return CaseUnits(
        case_keys=tuple(f"c{row}" for row in range(n)),
        patient_keys=tuple(f"p{row}" for row in range(n)) if patients is None else tuple(patients),
        labels=tuple(row % 2 for row in range(n)) if labels is None else tuple(labels),
        lesion_voxels=(30,) * n if sizes is None else tuple(sizes),
        attributes={name: tuple(values) for name, values in attributes.items()},
    )


def pair_of(units, teacher, student, *, cohorts=None):
    """Return the results of both; values by ``TEST/QUANTITY``, units by test."""
    own = {test: test[0] * 64 for test in units} if cohorts is None else cohorts
    own = {test: "".join(f"{ord(c) % 16:x}" for c in digest) for test, digest in own.items()}
    return tuple(
        CaseResults(
            subject=f"r/{arm}",
            seed=0,
            weights_digest=digest,
            cohorts=own,
            units=units,
            values={name: tuple(None if v is None or np.isnan(v) else float(v) for v in column) for name, column in values.items()},
        )
        for arm, digest, values in (("teacher", TEACHER, teacher), ("kd", STUDENT, student))
    )


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.asarray(logits, dtype=float)))


def simulated(seed, *, n=80, forgotten=None, coin=False):
    """Return results of networks that share what the data allow and have each its own noise: neither is better.

    The student never learned the device ``forgotten``: there it answers the first class always, or by chance.
    """
    rng = np.random.default_rng(seed)
    labels, device = np.arange(n) % 2, np.array(list("abcd"))[(np.arange(n) // 2) % 4]
    shared = (2 * labels - 1) * 2.5 + rng.normal(0, 1.3, n)
    teacher, student = shared + rng.normal(0, 0.4, n), shared + rng.normal(0, 0.4, n)
    if forgotten is not None:
        student = np.where(device == forgotten, rng.normal(0, 2, n) if coin else rng.normal(-3, 1, n), student)
    mass = rng.normal(0.5, 0.1, n)
    units = units_of(n, sizes=rng.integers(20, 400, n).tolist(), device=device.tolist())
    values = [
        {
            "test/probability": sigmoid(logits),
            "debiased/probability": sigmoid(logits),
            "debiased/agreement": agreement,
            "debiased/relevance_mass_accuracy": np.clip(mass + rng.normal(0, 0.03, n), 0, 1),
        }
        for logits, agreement in ((teacher, np.ones(n)), (student, np.clip(rng.normal(0.8, 0.1, n), -1, 1)))
    ]
    return pair_of({"test": units, "debiased": units}, *values)


def simulated_segmentation(seed, *, n=48):
    """Return results of two networks that segment equally well, two cases a patient, Dice far from a normal distribution."""
    rng = np.random.default_rng(seed)
    patients = [f"p{row // 2}" for row in range(n)]
    shared = np.repeat(rng.beta(8, 1.5, n // 2), 2)
    teacher, student = (np.clip(shared + rng.normal(0, 0.03, n) - rng.exponential(0.03, n), 0, 1) for _ in range(2))
    units = units_of(n, patients=patients, sizes=rng.integers(20, 400, n).tolist(), device=[str(row // 2 % 3) for row in range(n)])
    return pair_of({"test": units}, {"test/dice": teacher}, {"test/dice": student})

"""The training cases whose features lie nearest to those of a finding: Euclidean distances, without torch and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contracts import SimilarCase, SimilarCases, TaskKind, TrainingFeatures, TrainingItem

#: Name of a finding's row of features among the arrays of an explanation.
FEATURES = "features/{}"
#: So many of the nearest training items are named.
NAMED = 5
#: Of fewer items nothing is said of how far is far: the share that lies nearer goes in steps of one by their number.
LEAST_ITEMS = 50
#: A finding is far from the training where at least this share of the training items lies nearer to its own nearest of another patient.
FAR = 0.99
#: Quantiles of the distances between training items that a record tells, in percent.
_PERCENT = (50, 90, 95, 99)
#: Rows whose distances are in memory at once.
_ROWS = 512

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class TrainingCases:
    """Features of the training cases of a version, read and verified.

    Attributes:
        record: what the rows are of.
        features: float32 [item, feature].
        nearest: float32 [item], distance to the nearest item of another patient (within its class, of models that segment).
    """

    record: TrainingFeatures
    features: Rows
    nearest: Rows

    def scale(self) -> float:
        """Return the median of ``nearest``, which distances are told as multiples of; 1 where there is none."""
        found = self.nearest[np.isfinite(self.nearest)]
        middle = float(np.median(found)) if len(found) else 0.0
        return middle if middle > 0 else 1.0


def groups_of(record_kind: TaskKind, labels: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of the group that each item is compared within: its class of models that segment, one group of others."""
    if record_kind is TaskKind.CLASSIFICATION:
        return np.zeros(len(labels), dtype=np.int64)
    return np.unique(np.array(labels), return_inverse=True)[1].reshape(-1).astype(np.int64)


def nearest_of_others(features: Rows, patients: Sequence[str], groups: NDArray[np.int64]) -> Rows:
    """Return each row's Euclidean distance to the nearest row of its group that is another patient's; infinite where there is none.

    Args:
        features: [item, feature].
        patients: whose each item is.
        groups: the number of each item's group.
    """
    whose = np.unique(np.array(patients), return_inverse=True)[1].reshape(-1)
    found = np.full(len(features), np.inf, dtype=np.float32)
    for begin in range(0, len(features), _ROWS):
        rows = slice(begin, begin + _ROWS)
        apart = distances(features[rows], features)
        apart[(whose[rows, None] == whose[None]) | (groups[rows, None] != groups[None])] = np.inf
        found[rows] = apart.min(1)
    return found


def quantiles_of(nearest: Rows) -> dict[str, float]:
    """Return quantiles of the distances that are finite, by their percentage; none of none."""
    known = nearest[np.isfinite(nearest)].astype(np.float64)
    return {str(percent): float(np.percentile(known, percent)) for percent in _PERCENT} if len(known) else {}


def distances(rows: Rows, others: Rows) -> NDArray[np.float64]:
    """Return Euclidean distances [row, other] in double precision: by differences, so that equal rows have the distance 0."""
    found = np.empty((len(rows), len(others)))
    for place, row in enumerate(rows.astype(np.float64)):
        found[place] = np.sqrt(np.square(others.astype(np.float64) - row).sum(1))
    return found


@dataclass(frozen=True)
class ComparedFinding:
    """A finding that is compared.

    Attributes:
        explanation: place of its explanation in the report.
        number: of the finding.
        class_name: its class; components are compared with those of the same class.
        patient_key: pseudonym of the study's patient.
        features: its row, [feature].
    """

    explanation: int
    number: int
    class_name: str
    patient_key: str
    features: Rows


def similar_cases(finding: ComparedFinding, training: TrainingCases) -> SimilarCases:
    """Return the training items that lie nearest to a finding, those of its own patient apart, and how its distance stands among theirs."""
    items, record = training.record.items, training.record
    alike = np.array([record.kind is TaskKind.CLASSIFICATION or item.label == finding.class_name for item in items], dtype=bool)
    own = np.array([item.patient_key == finding.patient_key for item in items], dtype=bool)
    apart = distances(finding.features[None], training.features)[0]
    scale = training.scale()

    def named(rows: NDArray[np.bool_]) -> tuple[SimilarCase, ...]:
        order = np.flatnonzero(rows)[np.argsort(apart[rows], kind="stable")][:NAMED]
        return tuple(_case(items[row], float(apart[row] / scale)) for row in order)

    others = alike & ~own
    known = training.nearest[others & np.isfinite(training.nearest)]
    nearer = float((known < apart[others].min()).mean()) if len(known) >= LEAST_ITEMS else None
    return SimilarCases(
        explanation=finding.explanation,
        number=finding.number,
        layer=record.layer,
        compared=int(others.sum()),
        patients=len({item.patient_key for item, wanted in zip(items, others, strict=True) if wanted}),
        cases=named(others),
        same_patient=named(alike & own),
        nearer=nearer,
    )


def _case(item: TrainingItem, distance: float) -> SimilarCase:
    return SimilarCase(case_key=item.case_key, label=item.label, voxels=item.voxels, volume_ml=item.volume_ml, distance=distance)

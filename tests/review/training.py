"""Invented features of training cases beside the version that a report asked."""

from __future__ import annotations

import numpy as np

from data_contracts import Ref, TaskKind, TrainingFeatures, TrainingItem
from medkd.inference.nearest_cases import FEATURES, TrainingCases, groups_of, nearest_of_others
from medkd.review.compose_report import compose_report
from medkd.review.shown import StudyArrays

COUNT = 120


def training_of(explanation, *, same_patient=0):
    """Return features of 120 training items, each of a patient of its own but for so many of the study's."""
    segments = explanation.kind is TaskKind.SEGMENTATION
    name = explanation.lesions[0].class_name if segments else "malignant"
    patients = [explanation.volume.patient_key] * same_patient + [f"train-{row}" for row in range(same_patient, COUNT)]
    size = {"voxels": 321, "volume_ml": 2.75} if segments else {}
    items = tuple(
        TrainingItem(case_key=f"case-{row}", patient_key=key, label="" if row % 5 == 4 and not segments else name, **size)
        for row, key in enumerate(patients)
    )
    features = np.random.default_rng(0).normal(size=(COUNT, 4)).astype(np.float32)
    nearest = nearest_of_others(features, patients, groups_of(explanation.kind, [one.label for one in items]))
    record = TrainingFeatures(
        weights_digest=explanation.model.weights_digest, cohort_digest="1" * 64, kind=explanation.kind, layer="layer4", pooling="mean",
        cases=COUNT, items=items, array=Ref(store="run", key="f", sha256="2" * 64),
    )  # fmt: skip
    return TrainingCases(record, features, nearest)


def with_features(arrays, *rows):
    """Return arrays whose explanations hold a row of features of finding 1 each."""
    kept = [{**own, FEATURES.format(1): np.asarray(row, np.float32)} for own, row in zip(arrays.explained, rows, strict=True)]
    return StudyArrays(arrays.volume, tuple(kept), arrays.label)


def compared(report, arrays, row=(0.0, 0.0, 0.0, 0.0), *, same_patient=0):
    """Return a report whose findings were compared with training cases; ``row`` is the features of each."""
    known = tuple(training_of(one, same_patient=same_patient) for one in report.explanations)
    composed = compose_report(report.explanations, with_features(arrays, *(row for _ in known)), training=known)
    return report.model_copy(update={"similar": composed.similar, "caveats": composed.caveats})

"""A report from the explanations of one study: nothing is asked of a model, and no map is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import (
    Calibration,
    Caveat,
    ClassAnswer,
    DataError,
    LesionFinding,
    ReviewReport,
    SimilarCases,
    StudyExplanation,
)
from medkd.inference.nearest_cases import FEATURES, ComparedFinding, TrainingCases, similar_cases
from medkd.review.caveats import compute_caveats
from medkd.review.page_images import window_of
from medkd.review.shown import StudyArrays


def compose_report(
    explanations: tuple[StudyExplanation, ...],
    arrays: StudyArrays,
    calibrations: tuple[Calibration, ...] = (),
    training: tuple[TrainingCases, ...] = (),
    more: tuple[Caveat, ...] = (),
) -> ReviewReport:
    """Return the report of a study. No finding is an answer.

    Args:
        explanations: of the study, one by each asked model.
        arrays: theirs.
        calibrations: of versions; those of the asked ones become part of the report.
        training: features of the training cases of versions; findings of the asked ones are compared with them.
        more: caveats of what the report is made with.

    Raises:
        DataError: ``EXPLANATIONS_APART`` when they are of several volumes.
    """
    volumes = {one.volume.digest() for one in explanations}
    if len(volumes) != 1:
        raise DataError("EXPLANATIONS_APART", f"expected explanations of one volume, got those of {len(volumes)}")
    window = window_of(explanations, arrays.volume)
    asked = {one.model.weights_digest for one in explanations}
    kept = tuple(one for one in calibrations if one.weights_digest in asked)
    similar = compare_with_training(explanations, arrays.explained, training)
    caveats = compute_caveats(explanations, similar, more)
    return ReviewReport(explanations=explanations, window=window, caveats=caveats, calibrations=kept, similar=similar)


def compare_with_training(
    explanations: Sequence[StudyExplanation], arrays: Sequence[Mapping[str, NDArray[Any]]], training: Sequence[TrainingCases]
) -> tuple[SimilarCases, ...]:
    """Return the training cases that lie nearest to each finding whose features were kept, of versions that have features of theirs."""
    known = {one.record.weights_digest: one for one in training if one.record.items}
    found = []
    for place, (explanation, kept) in enumerate(zip(explanations, arrays, strict=False)):  # of some the arrays may not be at hand
        of_version, whose = known.get(explanation.model.weights_digest), explanation.volume.patient_key
        findings: tuple[LesionFinding | ClassAnswer, ...] = (*explanation.lesions, *explanation.answers)
        for finding in findings:
            row = kept.get(FEATURES.format(finding.number))
            # No number: nothing of the finding is left on the network's coarser grid.
            if of_version is not None and row is not None and bool(np.isfinite(row).all()):
                asked = ComparedFinding(place, finding.number, finding.class_name, whose, row)
                found.append(similar_cases(asked, of_version))
    return tuple(found)

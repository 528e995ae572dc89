"""The estimated performance of a model on a window of studies without labels."""

from __future__ import annotations

from collections.abc import Sequence

from data_contracts import DriftReference, PerformanceEstimate, StudyProfile, TaskKind
from medkd.drift.estimate_performance import atc_threshold, difference_of_confidence, predicted_accuracy
from medkd.drift.prediction_profile import CONFIDENCE


def window_performance(reference: DriftReference, studies: Sequence[StudyProfile]) -> PerformanceEstimate | None:
    """Return the estimate for a window; None where nothing of the reference is labelled or nothing of the window was answered.

    Dice is estimated by the difference of confidence, where confidence is the expected Dice; accuracy by average thresholded confidence.
    """
    kind = TaskKind.SEGMENTATION if reference.measure == "dice" else TaskKind.CLASSIFICATION
    name = CONFIDENCE[kind]
    known = [
        (sure, performance)
        for one, performance in zip(reference.studies, reference.performance, strict=True)
        if performance is not None and (sure := one.predictions.get(name)) is not None
    ]
    here = [sure for one in studies if (sure := one.predictions.get(name)) is not None]
    if not known or not here:
        return None
    sureness, performances = zip(*known, strict=True)
    mean = sum(performances) / len(performances)
    if kind is TaskKind.SEGMENTATION:
        estimated = difference_of_confidence(mean, sureness, here)
        return PerformanceEstimate(method="doc", measure="dice", reference=mean, window=estimated)
    threshold = atc_threshold(sureness, [value >= 0.5 for value in performances])
    return PerformanceEstimate(method="atc", measure="accuracy", reference=mean, window=predicted_accuracy(here, threshold))

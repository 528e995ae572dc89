"""What a model answers about a study, and how sure it is: no label is asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import StudyExplanation, TaskKind
from medkd.explanation.explain_study import LoadedModel
from medkd.inference.apply_calibration import apply
from medkd.inference.segment import PreparedStudy, logits_of
from medkd.measures.dice import dice
from medkd.volumes.orientation import require_space

#: The feature that performance is estimated from, by task.
CONFIDENCE = {TaskKind.SEGMENTATION: "expected_dice", TaskKind.CLASSIFICATION: "confidence"}


def prediction_profile(
    loaded: LoadedModel, study: PreparedStudy, record: StudyExplanation, arrays: Mapping[str, Tensor]
) -> dict[str, float | None]:
    """Return the features of a model's answer.

    Args:
        loaded: the model.
        study: as the network sees it.
        record: what was found and explained.
        arrays: of the record.
    """
    if record.kind is TaskKind.CLASSIFICATION:
        return of_classes(record)
    probability = apply(logits_of(loaded.network, study).numpy(), loaded.calibration, axis=0)
    own, teacher = arrays["segmentation/student"], arrays.get("segmentation/teacher")
    spacing = require_space(record.volume, "a profile of drift").spacing_mm
    agreement = None if teacher is None else float(dice((own > 0)[None], (teacher > 0)[None])[0])
    return {
        "volume_ml": float((own > 0).sum()) * spacing[0] * spacing[1] * spacing[2] / 1000,
        "lesions": float(len(record.lesions)),
        "largest_ml": max((one.volume_ml or 0.0 for one in record.lesions), default=0.0),
        **of_probabilities(probability),
        **({} if teacher is None else {"dice_to_teacher": None if agreement is None or np.isnan(agreement) else agreement}),
    }


def of_probabilities(probability: NDArray[np.float32]) -> dict[str, float | None]:
    """Return how sure a segmentation is.

    ``expected_dice`` is the Dice that a mask m would have on average if every probability p were right: 2 sum(p m) / (sum(p) + sum(m)), after
    Li et al. 2022 (class-specific confidence scores); None where nothing is marked.

    Args:
        probability: calibrated, [class, *space], the background first.
    """
    found = 1.0 - probability[0].astype(np.float64)
    marked = probability.argmax(0) > 0
    surest = probability.max(0).astype(np.float64)
    entropy = -(probability * np.log(np.maximum(probability, 1e-12))).sum(0, dtype=np.float64)
    both = float(found.sum() + marked.sum())
    return {
        "confidence": float(surest.mean()),
        "confidence_in_findings": float(surest[marked].mean()) if marked.any() else None,
        "entropy": float(entropy.mean()),
        "expected_dice": 2 * float(found[marked].sum()) / both if marked.any() else None,
    }


def of_classes(record: StudyExplanation) -> dict[str, float | None]:
    """Return what a classifier answers, as means over the slices: each class's probability, confidence, entropy, and the runs of one answer."""
    sizes = torch.tensor([float(one.last_slice - one.first_slice + 1) for one in record.answers])
    names = sorted({name for one in record.answers for name in one.probabilities})
    rows = torch.tensor([[one.probabilities.get(name, 0.0) for name in names] for one in record.answers], dtype=torch.double)
    if not len(rows) or not names:
        return {"answers": float(len(record.answers)), "confidence": None, "entropy": None}
    weights = (sizes / sizes.sum()).double()
    entropy = -torch.xlogy(rows, rows).sum(1)
    return {
        "answers": float(len(record.answers)),
        "confidence": float((rows.amax(1) * weights).sum()),
        "entropy": float((entropy * weights).sum()),
        **{f"probability_{name}": float(value) for name, value in zip(names, (rows * weights[:, None]).sum(0), strict=True)},
    }

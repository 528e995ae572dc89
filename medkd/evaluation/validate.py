"""One figure of a network on held-back cases: what patience looks at."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from data_contracts import CohortSet, DataError, Role, Subset, Task, TaskKind, TrainingSpec
from medkd.catalogue import MEASURES
from medkd.cohorts.hidden_classes import hide_classes
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.cohorts.tensor_cohort import WITHOUT_LABEL
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.inference.predict import predict_logits
from medkd.inference.predict_cohort import leave_out_synthetic, volume_logits
from medkd.storage.store import Store

#: Purposes that choices may be made on, in the order in which they are preferred for a student.
VALIDATIONS = (Subset.STUDENT_VALIDATION, Subset.TEACHER_VALIDATION)


def validation(cohorts: CohortSet, store: Store, spec: TrainingSpec) -> Callable[[nn.Module], float]:
    """Return the figure of a network on the held-back cases of its role: AUC, the mean Dice of the foreground, or a detector's mean
    sensitivity over its operating points.

    The measure is the one that ``spec.selection`` names, so that its source is in the key of a training that it decides about, and of
    no other.

    Raises:
        DataError: ``VALIDATION_MISSING`` when no cases are held back.
    """
    wanted = VALIDATIONS[1:] if spec.role is Role.TEACHER else VALIDATIONS
    test = cohorts.uses.get(Subset.TEST)
    # A use that equals the test's is the test: choosing on it would be training on it.
    subset = next((subset for subset in wanted if subset in cohorts.uses and cohorts.uses[subset] != test), None)
    if subset is None:
        raise DataError(
            "VALIDATION_MISSING",
            f"expected validation cases for the patience of {spec.recipe}/{spec.arm}, none are held back: set data.inner_validation or "
            "data.student_validation",
        )
    task, measure = spec.shown_task, MEASURES.load(spec.selection or "auc")
    if task.kind is TaskKind.DETECTION:
        # By name: an import would put all that judges detections into the keys of trainings that have nothing to do with them.
        judged = importlib.import_module("medkd.evaluation.evaluate_detection")
        return lambda network: float(judged.mean_sensitivity(network, cohorts, subset, store, task))
    hidden = tuple(task.classes.index(name) for name in spec.hidden_classes)
    if task.spatial_dims == 3 and task.kind is TaskKind.SEGMENTATION:
        volumes = open_volume_use(cohorts, subset, store, task)
        return lambda network: mean_over_foreground(network, volumes, task, measure, without=hidden)
    # What a student's labels never show must not choose its epochs either.
    pictures = hide_classes(open_pictures(cohorts, subset, store, task), task, spec.hidden_classes, keep_cases=False)
    if task.kind is TaskKind.SEGMENTATION:
        known = pictures.masks != WITHOUT_LABEL
        return lambda network: float(measure(predict_logits(network, pictures.images).argmax(1) * known, pictures.masks * known).nanmean())
    return lambda network: float(mean_auc(measure, predict_logits(network, pictures.images).softmax(1), pictures.labels))


def mean_auc(measure: Callable[[Tensor, Tensor], Tensor], chances: Tensor, labels: Tensor) -> Tensor:
    """Return the AUC of the second of two classes, or the mean of each class against the others, of the classes that there are cases of.

    Args:
        measure: the AUC of scores [n] and labels in {0, 1}.
        chances: probabilities [n, classes].
        labels: int64 [n].
    """
    if chances.shape[1] == 2:
        return measure(chances[:, 1], labels)
    return torch.stack([measure(chances[:, index], (labels == index).long()) for index in range(chances.shape[1])]).nanmean()


def mean_over_foreground(
    model: nn.Module, cohort: VolumeCohort, task: Task, measure: Callable[[Tensor, Tensor], Tensor], *, without: Sequence[int] = ()
) -> float:
    """Return the mean of a measure of two masks [case, *space] over cases and foreground classes, some of which may be left out."""
    values = [
        measure((answer == index)[None], (leave_out_synthetic(cohort, row, cohort.references[row]) == index)[None])
        for row in range(len(cohort))
        for answer in (leave_out_synthetic(cohort, row, volume_logits(model, cohort, row, task).argmax(0)),)
        for index in range(1, len(task.classes))
        if index not in without
    ]
    return float(torch.stack(values).nanmean())

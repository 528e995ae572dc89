"""One figure of a network on held-back cases: what patience looks at."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from data_contracts import CohortSet, DataError, Role, Task, TaskKind
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.evaluation.evaluate_volumes import mean_foreground_dice
from medkd.inference.predict import predict_logits
from medkd.measures.auc import auc
from medkd.measures.dice import dice
from medkd.storage.store import Store

#: Purposes that choices may be made on, in the order in which they are preferred for a student.
VALIDATIONS = ("student_validation", "teacher_validation")


def validation(cohorts: CohortSet, store: Store, task: Task, role: Role) -> Callable[[nn.Module], float]:
    """Return the figure of a network on the held-back cases of its role: AUC, or the mean Dice of the foreground.

    Raises:
        DataError: ``VALIDATION_MISSING`` when no cases are held back.
    """
    wanted = VALIDATIONS[1:] if role is Role.TEACHER else VALIDATIONS
    test = cohorts.uses.get("test")
    purpose = next((purpose for purpose in wanted if purpose in cohorts.uses and cohorts.uses[purpose] != test), None)
    if purpose is None:
        raise DataError(
            "VALIDATION_MISSING",
            "expected validation cases for patience, none are held back: set data.inner_validation or data.student_validation",
        )
    if task.spatial_dims == 3 and task.kind is TaskKind.SEGMENTATION:
        volumes = open_volume_use(cohorts, purpose, store, task)
        return lambda network: mean_foreground_dice(network, volumes, task)
    pictures = open_pictures(cohorts, purpose, store, task)
    if task.kind is TaskKind.SEGMENTATION:
        return lambda network: float(dice(predict_logits(network, pictures.images).argmax(1), pictures.masks).nanmean())
    return lambda network: float(auc(predict_logits(network, pictures.images).softmax(1)[:, 1], pictures.labels))

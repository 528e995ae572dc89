"""What a teacher is worth class by class, on the gate's cases and never on a test: its weight among several."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_contracts import Checkpoint, CohortSet, Subset, Task, TaskKind
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.inference.predict import predict_logits
from medkd.inference.predict_cohort import leave_out_synthetic, volume_logits
from medkd.measures.auc import auc
from medkd.measures.dice import dice
from medkd.models._load import load_network
from medkd.storage.workspace import Workspace


def class_figures(workspace: Workspace, cohorts: CohortSet, teacher: Checkpoint) -> dict[str, float | None]:
    """Return per class of a segmentation the mean Dice over cases, of a classification the AUC against the other classes; None where undefined."""
    network, task = load_network(workspace, teacher), teacher.task
    if task.kind is TaskKind.CLASSIFICATION:
        pictures = open_pictures(cohorts, Subset.TEACHER_VALIDATION, workspace.store, task)
        chances = predict_logits(network, pictures.images, flips=task.test_time_flips).softmax(1)
        found = [auc(chances[:, index], (pictures.labels == index).long()) for index in range(len(task.classes))]
    else:
        found = [torch.stack(values).nanmean() for values in zip(*_dices(workspace, cohorts, network, task), strict=True)]
    return {name: (float(value) if bool(torch.isfinite(value)) else None) for name, value in zip(task.classes, found, strict=True)}


def _dices(workspace: Workspace, cohorts: CohortSet, network: nn.Module, task: Task) -> list[list[Tensor]]:
    """Return the Dice of each class in each case."""
    if task.spatial_dims == 3:
        volumes = open_volume_use(cohorts, Subset.TEACHER_VALIDATION, workspace.store, task)
        pairs = [
            (
                leave_out_synthetic(volumes, row, volume_logits(network, volumes, row, task).argmax(0)),
                leave_out_synthetic(volumes, row, volumes.references[row]),
            )
            for row in range(len(volumes))
        ]
    else:
        pictures = open_pictures(cohorts, Subset.TEACHER_VALIDATION, workspace.store, task)
        pairs = list(zip(predict_logits(network, pictures.images, flips=task.test_time_flips).argmax(1), pictures.masks, strict=True))
    return [[dice((answer == index)[None], (truth == index)[None])[0] for index in range(len(task.classes))] for answer, truth in pairs]

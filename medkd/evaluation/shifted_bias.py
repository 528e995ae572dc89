"""The bias of a class that a student's labels never showed, put right without a label (Hinton et al. 2015, 1503.02531, section 3).

A student that never saw a class ranks its cases well and hardly ever says it: its logit is too low by about a constant. The constant is chosen on
cases held back for the teacher's gate, so that the student says the class there as often as the teacher does. No test case and no label decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from data_contracts import CohortSet, Subset, Task
from medkd.cohorts.open_cohort import open_pictures
from medkd.evaluation.class_measures import figure_name
from medkd.inference.predict import predict_logits
from medkd.storage.store import Store


def matching_offset(logits: Tensor, answers: Tensor, index: int) -> float:
    """Return what to add to a class's logit so that it is answered as often as among the answers given; 0 where these never name it.

    Args:
        logits: of the student, [n, classes].
        answers: of the teacher about the same cases, int64 [n].
        index: of the class.
    """
    wanted = int((answers == index).sum())
    if wanted == 0:
        return 0.0
    others = torch.cat([logits[:, :index], logits[:, index + 1 :]], 1).amax(1)
    # The class is said where its margin is above minus the offset: between the last case that is to be said and the next.
    margins = (logits[:, index] - others).double().sort(descending=True).values
    last = margins[wanted - 1]
    following = margins[wanted] if wanted < len(margins) else last - 1.0
    return -float((last + following) / 2)


def shifted_recalls(
    networks: tuple[nn.Module, nn.Module], cohorts: CohortSet, store: Store, task: Task, hidden: Sequence[str]
) -> dict[str, Tensor]:
    """Return ``test/shifted_recall_CLASS`` [n] of every class, NaN in cases of another, with the biases of the hidden classes put right.

    Args:
        networks: student, and teacher.
        cohorts: with the cases that the teacher's gate judges, and a test.
        store: where they lie.
        task: a classification.
        hidden: classes that the student's labels never showed.
    """
    held, test = (open_pictures(cohorts, subset, store, task) for subset in (Subset.TEACHER_VALIDATION, Subset.TEST))
    logits, answers = predict_logits(networks[0], held.images), predict_logits(networks[1], held.images).argmax(1)
    shift = torch.zeros(len(task.classes))
    for name in hidden:
        index = task.classes.index(name)
        shift[index] = matching_offset(logits, answers, index)
    said = (predict_logits(networks[0], test.images) + shift).argmax(1)
    return {
        f"{Subset.TEST}/shifted_recall_{figure_name(name)}": torch.where(test.labels == index, (said == index).double(), torch.nan)
        for index, name in enumerate(task.classes)
    }

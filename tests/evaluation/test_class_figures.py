from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from data_contracts import LossTerm, Role, TaskKind
from medkd.cohorts.open_cohort import open_pictures
from medkd.evaluation.class_figures import class_figures
from medkd.inference.predict import predict_logits
from medkd.models._load import load_network
from medkd.training.objective import Objective
from medkd.training.train import train_teacher
from medkd.training.training_run import TrainingRun, TrainingSetup


def test_each_class_is_measured_against_the_others_on_the_gates_cases(workspace, recipe, cohorts):
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    found = class_figures(workspace, cohorts, teacher)
    held_back = open_pictures(cohorts, "teacher_validation", workspace.store, recipe.task)
    chances = predict_logits(load_network(workspace, teacher), held_back.images).softmax(1)
    for index, name in enumerate(recipe.task.classes):
        assert found[name] == pytest.approx(roc_auc_score(held_back.labels == index, chances[:, index]), abs=1e-6)


def test_a_segmentation_has_a_dice_per_class_and_none_where_nothing_was_drawn(workspace, recipe, cohorts, monkeypatch):
    task = recipe.task.model_copy(update={"kind": TaskKind.SEGMENTATION, "classes": ("background", "lesion")})
    network = recipe.teacher.network.model_copy(update={"builder": "unet", "options": {"channels": (4, 8, 8)}})
    spec = recipe.teacher_training().model_copy(update={"task": task, "network": network, "arm": "teacher_outlines", "role": Role.TEACHER})
    from medkd.cohorts.open_cohort import open_for_training

    run = TrainingRun(workspace, spec)
    teacher = run.run(
        TrainingSetup(open_for_training(cohorts, "teacher_train", workspace.store, task)),
        Objective((LossTerm(loss="cross_entropy"),)),
        cohort_digest="c",
    )
    found = class_figures(workspace, cohorts, teacher)
    held_back = open_pictures(cohorts, "teacher_validation", workspace.store, task)
    answer = predict_logits(load_network(workspace, teacher), held_back.images).argmax(1)
    values = []
    for own, truth in zip(answer == 0, held_back.masks == 0, strict=True):
        values.append(2 * (own & truth).sum().item() / (own.sum() + truth.sum()).item())
    assert found["background"] == pytest.approx(sum(values) / len(values), abs=1e-5)
    monkeypatch.setattr("medkd.evaluation.class_figures.dice", lambda *_: torch.tensor([float("nan")]))
    assert class_figures(workspace, cohorts, teacher) == {"background": None, "lesion": None}

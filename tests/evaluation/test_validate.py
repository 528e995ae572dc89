from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from data_contracts import CohortSet, DataError, Part, Role
from medkd.evaluation import validate
from medkd.evaluation.validate import VALIDATIONS, mean_auc, mean_over_foreground, validation
from medkd.measures.auc import auc
from medkd.measures.dice import dice
from medkd.storage.store import Store
from tests.cohorts.pictures import TASK, stored_cohort


def spec(role=Role.STUDENT, selection="auc"):
    return SimpleNamespace(role=role, selection=selection, task=TASK, shown_task=TASK, recipe="r", arm="kd", hidden_classes=())


class Brightness(nn.Module):
    """Answers with how bright an image is, or with the opposite."""

    def __init__(self, sign):
        super().__init__()
        self.sign = sign

    def forward(self, image):
        bright = self.sign * image.flatten(1).mean(1)
        return torch.stack([-bright, bright], 1)


def cohorts(store, **subsets):
    uses = stored_cohort(store, {})
    return CohortSet(uses={subset: uses[part] for subset, part in subsets.items()}, certificates=())


def test_the_figure_is_the_auc_of_the_cases_that_are_held_back(tmp_path):
    store = Store(tmp_path, "run")
    figure = validation(cohorts(store, student_validation=Part.TRAIN, test=Part.TEST), store, spec())
    assert [figure(Brightness(sign)) for sign in (1.0, -1.0)] == [1.0, 0.0]


def test_a_student_prefers_cases_with_its_own_bias_and_a_teacher_never_sees_them(tmp_path, monkeypatch):
    store, opened = Store(tmp_path, "run"), []
    monkeypatch.setattr(validate, "open_pictures", lambda _, subset, *__: opened.append(str(subset)))
    both = cohorts(store, student_validation=Part.TRAIN, teacher_validation=Part.VALIDATION, test=Part.TEST)
    for role in (Role.STUDENT, Role.TEACHER):
        validation(both, store, spec(role))
    assert opened == [str(VALIDATIONS[0]), str(VALIDATIONS[1])]


def test_the_test_cases_are_no_validation(tmp_path):
    store = Store(tmp_path, "run")
    with pytest.raises(DataError, match="for the patience of r/kd, none are held back") as caught:
        validation(cohorts(store, teacher_validation=Part.TEST, test=Part.TEST), store, spec())
    assert caught.value.code == "VALIDATION_MISSING"


def test_volumes_count_each_foreground_class_of_each_case_and_leave_out_what_was_not_measured(monkeypatch):
    label = torch.tensor([[[0, 1, 2, 2]], [[0, 0, 0, 2]]])
    answer = torch.tensor([[[0, 1, 1, 2]], [[0, 0, 0, 2]]])
    monkeypatch.setattr(validate, "volume_logits", lambda _, __, row, ___: nn.functional.one_hot(answer[row], 3).movedim(-1, 0).float())
    monkeypatch.setattr(validate, "leave_out_synthetic", lambda _, __, values: values)

    class Volumes(SimpleNamespace):
        def __len__(self):
            return 2

    task = SimpleNamespace(classes=("background", "a", "b"))
    # By hand: class a 2/3 and undefined, class b 2/3 and 1.
    assert mean_over_foreground(None, Volumes(references=label), task, dice) == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)


def test_the_mean_auc_is_that_of_each_class_against_the_others():
    chances, labels = torch.randn(30, 3, generator=torch.Generator().manual_seed(3)).softmax(1), torch.arange(30) % 3
    assert np.isclose(
        float(mean_auc(auc, chances, labels)),
        roc_auc_score(labels, chances.double() / chances.double().sum(1, keepdim=True), multi_class="ovr"),
    )
    assert np.isclose(float(mean_auc(auc, chances[:, :2], labels % 2)), roc_auc_score(labels % 2, chances[:, 1]))
    # A class without a case has no AUC, and is not counted.
    few = labels < 2
    assert not mean_auc(auc, chances[few], labels[few]).isnan()

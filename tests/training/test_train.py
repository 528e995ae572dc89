from __future__ import annotations

import pytest

from data_contracts import AttributionSource, KnowledgeError
from medkd.cohorts.tensor_cohort import MISSING
from medkd.training.train import compressed, setup_training, student_cohort
from medkd.training.training_run import TrainingRun


def test_an_arm_that_asks_a_live_teacher_or_a_store_is_refused_without_one(workspace, recipe, cohorts):
    live = recipe.student_training("kd", 0)
    stored = live.model_copy(update={"objective": live.objective.model_copy(update={"knowledge": "store"})})
    for spec, code in ((live, "TEACHER_MISSING"), (stored, "KNOWLEDGE_MISSING")):
        with pytest.raises(KnowledgeError) as caught:
            setup_training(TrainingRun(workspace, spec), None, None, None)
        assert caught.value.code == code
    alone = setup_training(TrainingRun(workspace, recipe.student_training("alone", 0)), "cohort", None, None)
    assert (alone.cohort, alone.teacher_digest, alone.source(AttributionSource.TEACHER)) == ("cohort", None, None)
    with pytest.raises(KnowledgeError, match="to compress for the arm 'kd'"):
        compressed(TrainingRun(workspace, live), None)


@pytest.mark.parametrize("hidden_cases", ["left_out", "unlabelled"])
def test_a_student_is_trained_on_no_label_of_a_hidden_class(workspace, recipe, cohorts, hidden_cases):
    spec = recipe.student_training("alone", 0)
    whole = student_cohort(workspace, spec, cohorts)
    shown = student_cohort(workspace, spec.model_copy(update={"hidden_classes": ("malignant",), "hidden_cases": hidden_cases}), cohorts)
    malignant = int((whole.labels == 1).sum())
    assert 0 < malignant < len(whole)
    assert (shown.labels == 1).sum() == 0
    assert (shown.labels == 0).sum() == (whole.labels == 0).sum()
    assert (len(shown), int((shown.labels == MISSING).sum())) == {
        "left_out": (len(whole) - malignant, 0), "unlabelled": (len(whole), malignant)
    }[hidden_cases]  # fmt: skip

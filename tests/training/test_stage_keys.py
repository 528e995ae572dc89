"""What makes a stage run again, and what does not: description, arm, explainer, measure, loss, seed."""

from __future__ import annotations

import pytest

from data_contracts import Arm, Entry, LossTerm
from medkd.catalogue import CatalogueEntry
from medkd.explanation.explain_cohort import explain_cohort
from medkd.storage.stage import stage_key
from medkd.training.train import distill, train_teacher


def key_of(stage, **inputs):
    return stage_key(stage.__name__, stage.__module__, inputs)


def teacher_key(recipe):
    return key_of(train_teacher, spec=recipe.teacher_training())


def student_key(recipe, arm="kd", seed=0):
    return key_of(distill, spec=recipe.student_training(arm, seed))


def explanation_key(recipe):
    return key_of(explain_cohort, spec=recipe.explanation())


@pytest.fixture
def change_source(monkeypatch):
    """Return what makes an entry's source look changed."""
    real = CatalogueEntry.source_digest

    def change(name):
        monkeypatch.setattr(CatalogueEntry, "source_digest", lambda entry: "changed" if entry.name == name else real(entry))

    return change


def with_explain(recipe, **changes):
    return recipe.model_copy(update={"explain": recipe.explain.model_copy(update=changes)})


def test_a_changed_description_does_nothing_again(recipe):
    other = recipe.model_copy(update={"description": "another sentence"})
    assert other.cohorts() == recipe.cohorts()
    assert teacher_key(other) == teacher_key(recipe)
    assert student_key(other) == student_key(recipe)
    assert explanation_key(other) == explanation_key(recipe)


def test_a_new_arm_trains_neither_teacher_nor_other_arms_again(recipe):
    other = recipe.model_copy(update={"arms": {**recipe.arms, "hints": Arm(terms=(LossTerm(loss="logit_kd"), LossTerm(loss="hint")))}})
    assert other.cohorts() == recipe.cohorts()
    assert teacher_key(other) == teacher_key(recipe)
    assert [student_key(other, arm) for arm in recipe.arms] == [student_key(recipe, arm) for arm in recipe.arms]


def test_a_new_explainer_explains_again_and_trains_nothing(recipe):
    other = with_explain(recipe, explainers=(*recipe.explain.explainers, Entry(name="saliency")))
    assert teacher_key(other) == teacher_key(recipe)
    assert student_key(other) == student_key(recipe)
    assert explanation_key(other) != explanation_key(recipe)


def test_a_changed_measure_measures_again_and_trains_nothing(recipe, change_source):
    asked = with_explain(recipe, measures=(Entry(name="relevance_mass_accuracy"),))
    before = teacher_key(asked), student_key(asked), explanation_key(asked)
    change_source("relevance_mass_accuracy")
    assert (teacher_key(asked), student_key(asked)) == before[:2]
    assert explanation_key(asked) != before[2]


def test_a_measure_that_a_training_is_selected_by_is_in_its_key(recipe, change_source):
    patient = recipe.model_copy(
        update={"teacher": recipe.teacher.model_copy(update={"fit": recipe.teacher.fit.model_copy(update={"patience": 1})})}
    )
    before = teacher_key(patient), teacher_key(recipe)
    change_source("auc")
    assert teacher_key(patient) != before[0]
    assert teacher_key(recipe) == before[1]


def test_a_changed_loss_trains_the_arms_again_that_use_it(recipe, change_source):
    before = {arm: student_key(recipe, arm) for arm in recipe.arms}
    teacher = teacher_key(recipe)
    change_source("attribution_transfer")
    assert {arm for arm in recipe.arms if student_key(recipe, arm) != before[arm]} == {"kd_explanation"}
    assert teacher_key(recipe) == teacher


def test_what_a_training_took_is_in_no_key(workspace, recipe, cohorts):
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    slower = teacher.model_copy(update={"train_seconds": teacher.train_seconds + 60})
    spec = recipe.student_training("kd", 0)
    assert key_of(distill, spec=spec, teacher=slower) == key_of(distill, spec=spec, teacher=teacher)

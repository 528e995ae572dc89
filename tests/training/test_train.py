from __future__ import annotations

from medkd.training.train import train_teacher


def test_two_settings_of_one_recipe_keep_their_weights_apart(workspace, recipe, cohorts):
    first = train_teacher(workspace, recipe.teacher_training(), cohorts)
    fit = recipe.teacher.fit.model_copy(update={"learning_rate": recipe.teacher.fit.learning_rate / 2})
    changed = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"fit": fit})})
    second = train_teacher(workspace, changed.teacher_training(), cohorts)
    assert first.weights.key != second.weights.key
    assert workspace.store.verify(first.weights)
    assert workspace.store.verify(second.weights)

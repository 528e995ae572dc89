from __future__ import annotations

from pathlib import Path

import flows
from medkd.training.bind_recipe import bind_recipe
from medkd.training.recipes import read_recipe
from medkd.training.train import train_teacher, training_digest

PHANTOM = Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml"


def test_two_settings_of_one_recipe_keep_their_weights_apart(workspace, recipe, cohorts):
    first = train_teacher(workspace, recipe.teacher_training(), cohorts)
    fit = recipe.teacher.fit.model_copy(update={"learning_rate": recipe.teacher.fit.learning_rate / 2})
    changed = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"fit": fit})})
    second = train_teacher(workspace, changed.teacher_training(), cohorts)
    assert first.weights.key != second.weights.key
    assert workspace.store.verify(first.weights)
    assert workspace.store.verify(second.weights)


def test_the_digest_of_a_training_changes_with_its_settings_and_with_the_source_of_a_loss_and_not_with_its_seed(monkeypatch):
    recipe, other = read_recipe(PHANTOM), read_recipe(PHANTOM, {"student.fit.epochs": 11})
    first = training_digest(recipe.student_training("kd", 0))
    assert first == training_digest(recipe.student_training("kd", 1)) != training_digest(other.student_training("kd", 0))
    monkeypatch.setattr("medkd.catalogue.CatalogueEntry.source_digest", lambda _: "changed")
    assert training_digest(recipe.student_training("kd", 0)) != first
    bind_recipe(recipe)

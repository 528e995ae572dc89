from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import flows
from medkd.training.bind_recipe import bind_recipe
from medkd.training.recipes import read_recipe
from medkd.training.train import train_teacher
from medkd.training.training_run import TrainingRun, family, training_digest, training_domain

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


def test_variants_of_a_recipe_are_one_family():
    assert family("shortcut--few") == family("shortcut") == "shortcut"
    assert family("a--b--c") == "a"


def test_all_arms_of_a_seed_begin_at_the_same_weights_and_those_of_another_do_not(workspace, recipe):
    first, same, other = (
        TrainingRun(workspace, recipe.student_training(arm, seed)).begin().state_dict()
        for arm, seed in (("kd", 0), ("alone", 0), ("kd", 1))
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("cases", "modalities", "units"),
    [
        ((("CT", "HU"), ("MR", "raw")), ("CT", "MR"), ("HU", "raw")),
        ((("CT", "HU"), ("CT", None)), (), ()),
        ((("CT", "HU"), (None, None)), (), ()),
    ],
)
def test_of_a_cohort_that_is_not_known_as_a_whole_nothing_is_claimed(cases, modalities, units):
    domain = training_domain(SimpleNamespace(cases=[SimpleNamespace(modality=modality, unit=unit) for modality, unit in cases]))
    assert (domain.modalities, domain.units) == (modalities, units)
    assert domain.spacing_low_mm is None

from __future__ import annotations

import pytest
import torch

from data_contracts import KnowledgeError, LossTerm, Subset, TrainingConfig, Tuning
from medkd.cohorts.open_cohort import open_for_training
from medkd.compression.judging_data import BATCHES, CASES, open_judging_data
from medkd.compression.tune import TRANSFER
from medkd.training.train import train_teacher


@pytest.fixture(scope="module")
def teacher(workspace, recipe, cohorts):
    return train_teacher(workspace, recipe.teacher_training(), cohorts)


@pytest.fixture
def training(recipe, cohorts):
    return recipe.student_training("kd", 0), cohorts


def test_training_cases_are_drawn_by_the_seed_and_none_of_another_subset(workspace, training, teacher, recipe):
    first, same, other = (open_judging_data(workspace, training, teacher, teacher, None, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(a.image, b.image) for a, b in zip(first.samples, same.samples, strict=True))
    assert not torch.equal(first.samples[0].image, other.samples[0].image)
    assert [len(sample.image) for sample in first.samples] == [CASES] * min(BATCHES, recipe.data.student // CASES)
    known = open_for_training(training[1], Subset.STUDENT_TRAIN.of(0), workspace.store, recipe.task).images.flatten(1)
    drawn = torch.cat([sample.image for sample in first.samples]).flatten(1)
    assert all(bool((known == row).all(1).any()) for row in drawn)


def test_attributions_are_compared_with_the_teacher_or_the_version_itself_as_the_terms_say(workspace, training, teacher):
    spec = training[0]
    term = LossTerm(loss="attribution_transfer", options={"explainer": "cam", "grid": 5, "distance": "squared"})
    tune = Tuning(fit=TrainingConfig(epochs=1), terms=(LossTerm(loss="cross_entropy"), term), distill_from="origin")
    tuned = open_judging_data(workspace, training, teacher, None, tune, seed=0)
    assert tuned.transfer == {"explainer": "cam", "grid": 5}
    assert tuned.terms == tune.terms
    untuned = open_judging_data(workspace, training, teacher, None, None, seed=0)  # nobody else to compare with
    assert (untuned.terms, untuned.transfer) == (spec.objective.terms, TRANSFER)
    assert untuned.source is not None


def test_a_tuning_that_wants_a_teacher_is_refused_without_one(workspace, training, teacher):
    tune = Tuning(fit=TrainingConfig(epochs=1), terms=(LossTerm(loss="cross_entropy"),))
    with pytest.raises(KnowledgeError, match="distill_from: origin") as caught:
        open_judging_data(workspace, training, teacher, None, tune, seed=0)
    assert caught.value.code == "TEACHER_MISSING"

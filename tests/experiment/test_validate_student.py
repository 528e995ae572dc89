from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import flows
from data_contracts import Checkpoint, CohortSet, CohortUse, Part, RecipeError, Ref, Role, SelectionCriterion
from medkd.cohorts.prepare import prepare_cohorts
from medkd.evaluation.bootstrap import auc_of
from medkd.experiment.validate_student import StudentValidator, _mean, student_validator, validation_subset
from medkd.inference.predict import predict_logits
from medkd.models._build import build_network, parameter_count
from medkd.models._load import load_network
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import network_spec, read_recipe
from tests.shared_fixtures import SMALL

GOAL = SelectionCriterion(primary="auc_debiased", select="response")


def cohort_set(**subsets):
    uses = {name: CohortUse(cohort=Ref(store="run", key=key, sha256=key * 64), part=Part.VALIDATION) for name, key in subsets.items()}
    return CohortSet(uses=uses, certificates=())


def test_choices_are_made_on_cases_apart_from_the_test():
    assert validation_subset(cohort_set(student_validation="a", teacher_validation="b", test="c")) == "student_validation"
    assert validation_subset(cohort_set(teacher_validation="b", test="c")) == "teacher_validation"
    for wrong in (cohort_set(test="c"), cohort_set(teacher_validation="c", test="c")):
        with pytest.raises(RecipeError) as caught:
            validation_subset(wrong)
        assert caught.value.code == "EXPERIMENT_VALIDATION"


def test_a_cosine_that_is_defined_for_no_case_says_nothing():
    assert _mean(torch.tensor([0.5, math.nan, 1.0])) == 0.75
    assert _mean(torch.tensor([math.nan])) == 0.0


@pytest.fixture(scope="module")
def untrained(workspace, recipe):
    """Return the checkpoints of a teacher and of a student that learned nothing."""
    return checkpoints_of(workspace, recipe)


def checkpoints_of(workspace, recipe):
    """Return the checkpoints of a teacher and of a student of a recipe that learned nothing."""

    def made(role, seed):
        spec = network_spec(recipe, role)
        network = build_network(spec, seed=seed)
        weights = workspace.store.write_tensors(f"models/untrained-{role}.safetensors", network.state_dict())
        return Checkpoint(
            role=role, arm=role.value, seed=seed, network=spec, task=recipe.task, weights=weights, weights_digest=weights.sha256,
            cohort_digest="c" * 64, recipe_digest="d" * 64, parameters=parameter_count(network), epochs=1,
        )  # fmt: skip

    return made(Role.TEACHER, 1), made(Role.STUDENT, 2)


def test_the_teacher_looks_like_itself_and_a_student_is_scored_by_its_own_answers(workspace, cohorts, untrained):
    teacher, student = untrained
    validator = student_validator(workspace, cohorts, teacher, GOAL)
    itself = validator.look(load_network(workspace, teacher), arm="teacher", seed=0, seconds=1.0)
    assert (itself.agreement, itself.response) == pytest.approx((1.0, 1.0), abs=1e-5)
    assert itself.gap == pytest.approx(0.0, abs=1e-5)
    network = load_network(workspace, student)
    seen = validator.look(network, arm="kd", seed=3, seconds=2.0)
    assert (seen.arm, seen.seed, seen.seconds) == ("kd", 3, 2.0)
    assert seen.gap > 0
    for cohort, figure in ((validator.cases, seen.task), (validator.test, seen.oracle)):
        probability = predict_logits(network, cohort.images).softmax(1)[:, 1].double().numpy()
        by_hand = auc_of(probability[None], cohort.labels.numpy())(np.arange(len(cohort)), 0)
        assert figure == pytest.approx(by_hand, abs=1e-6)


def test_of_three_classes_the_mean_of_each_against_the_others_is_what_choices_are_made_by(tmp_path):
    changes = {**SMALL, "task.classes": ["benign", "malignant", "cyst"], "data.cysts": True, "teacher.gate.max_marker_effect": None}
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml", changes)
    workspace = local_workspace(tmp_path)
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    teacher, student = checkpoints_of(workspace, recipe)
    validator, network = StudentValidator(workspace, cohorts, teacher, GOAL), load_network(workspace, student)
    seen = validator.look(network, arm="kd", seed=0, seconds=1.0)
    for cohort, figure in ((validator.cases, seen.task), (validator.test, seen.oracle)):
        chances = predict_logits(network, cohort.images).double().softmax(1).numpy()
        assert set(cohort.labels.tolist()) == {0, 1, 2}
        assert figure == pytest.approx(roc_auc_score(cohort.labels.numpy(), chances, multi_class="ovr"), abs=1e-6)


def test_a_teacher_is_asked_once_for_a_question_and_again_for_another(workspace, cohorts, untrained):
    first = student_validator(workspace, cohorts, untrained[0], GOAL)
    assert student_validator(workspace, cohorts, untrained[0], GOAL) is first
    other = student_validator(workspace, cohorts, untrained[0], GOAL.model_copy(update={"select": "task"}))
    assert other is not first
    assert isinstance(other, StudentValidator)
    assert other.changes is None

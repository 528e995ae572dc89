"""Teachers and students that do not see the same, from batch to scorecard: the student is trained beside what it never sees, and needs none of it after."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import flows
from data_contracts import DataError, KnowledgeError
from medkd.cohorts.open_cohort import open_pictures
from medkd.cohorts.prepare import prepare_cohorts
from medkd.compression.tune import imitated
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.evaluation.gate_teacher import judge_teacher
from medkd.explanation.artefact import ask_registry
from medkd.explanation.explain_cohort import explain_cohort, replay_bundle
from medkd.inference.predict import predict_logits
from medkd.inference.segment import prepare_study
from medkd.models._load import load_network
from medkd.recipe_calls.evaluation_calls import by_arm, card_calls, evaluation_calls, explanation_calls
from medkd.recipe_calls.training_calls import every_knowledge_call, gate_call, student_calls
from medkd.registry.interface import Publication
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.manifest import pack_model
from medkd.storage.workspace import local_workspace
from medkd.training.extract_knowledge import extract_knowledge
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher
from tests.registry.memory_registry import MemoryRegistry

RECIPES = Path(flows.__file__).parent / "recipes"
SMALL = {
    "data.teacher": 16, "data.teacher_validation": 8, "data.student": 8, "data.unlabelled": 8, "data.test": 12, "seeds": [0],
    "teacher.fit.epochs": 1, "student.fit.epochs": 1, "teacher.fit.batch_size": 8, "student.fit.batch_size": 8,
    "student.fit.samples_per_epoch": 16, "teacher.gate.enforce": False, "explain.cases": 2,
}  # fmt: skip
KD = [{"loss": "cross_entropy"}, {"loss": "logit_kd"}]
#: Terms that read answers, features, maps, and that ask the teacher about images of their own.
EVERY = [
    *KD,
    {"loss": "hint"},
    {"loss": "attribution_transfer"},
    {"loss": "response_matching", "options": {"patterns": 1, "cells": 4}},
    {"loss": "consistency"},
]
NETWORKS = {
    "cross_modality.yaml": {"teacher.network.options.channels": [4, 6, 8], "student.network.options.channels": [4, 4, 6]},
    "privileged_row.yaml": {
        "teacher.network.options.channels": [4, 4, 6, 8],
        "student.network.options.channels": [4, 4, 4, 6],
        "teachers": {},
    },
}
ARMS = {"alone": {"terms": KD[:1]}, "kd": {"unlabelled": True, "terms": EVERY}, "stored": {"terms": KD, "knowledge": "store"}}


@pytest.fixture(scope="module", params=["cross_modality.yaml", pytest.param("privileged_row.yaml", marks=pytest.mark.extended)])
def trained(request, tmp_path_factory):
    recipe = read_recipe(RECIPES / request.param, {**SMALL, **NETWORKS[request.param], "arms": ARMS})
    workspace = local_workspace(tmp_path_factory.mktemp("run"))
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    result = RecipeResult(recipe, cohorts, train_teacher(workspace, recipe.teacher_training(), cohorts))
    verdict = judge_teacher(*gate_call(workspace, result))
    result = RecipeResult(
        recipe, cohorts, result.teacher, verdicts=(verdict,), knowledge=extract_knowledge(*every_knowledge_call(workspace, result)[0])
    )
    students = tuple(distill(*call) for call in student_calls(workspace, result))
    return workspace, RecipeResult(recipe, cohorts, result.teacher, verdicts=(verdict,), knowledge=result.knowledge, students=students)


def test_each_checkpoint_says_what_it_sees_and_a_student_answers_without_the_rest(trained):
    workspace, result = trained
    recipe, student = result.recipe, result.students[1]
    assert result.teacher.task == recipe.teacher_task() != recipe.student_task()
    assert student.task == recipe.student_task()
    assert (student.network.in_channels, student.network.row_channels) == (1, 0)
    images = open_pictures(result.cohorts, "test", workspace.store, student.task).images
    assert predict_logits(load_network(workspace, student), images).isfinite().all()


def test_a_student_alone_is_the_same_to_the_bit_whether_or_not_others_see_more(trained):
    workspace, result = trained
    spec = result.recipe.student_training("alone", 0)
    assert spec.shown == result.recipe.task
    apart = distill(workspace, spec.model_copy(update={"shown": None}), result.cohorts, None)
    assert apart.weights_digest == result.students[0].weights_digest


def test_teacher_and_students_are_judged_and_explained_each_on_its_own_inputs(trained):
    workspace, result = trained
    evaluations = tuple(evaluate_model(*call) for call in evaluation_calls(workspace, result))
    cards = [summarise(*call) for call in card_calls(workspace, result, by_arm(evaluations))]
    assert len(cards) == 4
    # A teacher beside itself agrees wholly: it saw what it was trained on.
    teacher = workspace.store.read_tensors(evaluations[0].arrays)
    agreement = next(value for name, value in teacher.items() if name.endswith("/agreement"))
    assert (agreement[~agreement.isnan()] > 0.999).all()
    call = explanation_calls(workspace, result)[1]
    bundle = explain_cohort(*call)
    assert bundle.explanations
    assert replay_bundle(workspace, bundle) == {}


def test_a_study_has_one_image_and_a_teacher_of_more_is_refused(trained):
    _, result = trained
    values = torch.zeros(2, 64, 64)
    assert prepare_study(values, None, result.students[0].task).image.shape[1] == 1
    if result.teacher.task.in_channels > 1:
        with pytest.raises(DataError, match="sees one image for the study"):
            prepare_study(values, None, result.teacher.task)


def test_a_registered_student_is_asked_without_a_teacher_that_sees_other_inputs(trained, tmp_path):
    workspace, result = trained
    registry, registered = MemoryRegistry(), {}
    for name, checkpoint in (("teacher", result.teacher), ("student", result.students[1]), ("alone", result.students[0])):
        weights = workspace.store.path(checkpoint.weights).read_bytes()
        pack_model(tmp_path / name, {"checkpoint.json": checkpoint.canonical_json(), "weights.safetensors": weights})
        registered[name] = registry.register(Publication(name, tmp_path / name, checkpoint.role, checkpoint.weights_digest))
    uris = {name: model.uri for name, model in registered.items()}
    assert ask_registry(registry, uris["student"], uris["teacher"]).teacher_network is None
    assert ask_registry(registry, uris["student"], uris["alone"]).teacher_network is not None


def test_a_compressed_student_is_not_tuned_by_a_teacher_that_sees_other_inputs(trained):
    workspace, result = trained
    student, terms = result.students[1], tuple(result.recipe.arms["stored"].terms)
    assert imitated(workspace, student, result.students[0], None, terms) is not None
    with pytest.raises(KnowledgeError, match="a teacher that sees what kd-0 sees") as caught:
        imitated(workspace, student, result.teacher, None, terms)
    assert caught.value.code == "TASK_INPUTS"

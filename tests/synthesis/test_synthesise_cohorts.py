"""Cohorts of pictures that no patient has: marked, of their teacher and seed alone, and usable like any other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_contracts import KnowledgeSet, RecipeError, Subset
from medkd.cohorts.open_cohort import open_for_training
from medkd.cohorts.split import require_clean
from medkd.cohorts.tensor_cohort import read_cohort
from medkd.recipe_calls.training_calls import knowledge_calls, knowledge_for, student_calls, synthesis_calls, teacher_call, with_knowledge
from medkd.registry.model_card import NO_CASE, model_card
from medkd.registry.publish import training_manifest
from medkd.registry.recipe_result import RecipeResult
from medkd.synthesis import synthesise_cohorts as stage
from medkd.synthesis.synthesise_cohorts import synthesise_cohorts
from medkd.training.extract_knowledge import extract_knowledge
from medkd.training.recipes import vary_recipe
from medkd.training.train import distill, train_teacher

KD = [{"loss": "logit_kd"}]
FIELDS = {
    "student.synthesis": {"cases": 8, "steps": 2, "batch_size": 8},
    "student.fit.epochs": 1,
    "seeds": [0],
    "arms": {
        "data_free": {"terms": KD, "cases": "synthesised"},
        "stored": {"terms": KD, "cases": "synthesised", "knowledge": "store"},
        "noise": {"terms": KD, "cases": "noise"},
    },
    "explain.explainers": [{"name": "cam"}],
}


@pytest.fixture(scope="module")
def own(recipe):
    return vary_recipe(recipe, FIELDS | {"experiment": None})


@pytest.fixture(scope="module")
def teacher(workspace, recipe, cohorts):
    return train_teacher(*teacher_call(workspace, RecipeResult(recipe, cohorts)))


@pytest.fixture(scope="module")
def result(workspace, own, cohorts, teacher):
    before = RecipeResult(own, cohorts, teacher=teacher)
    (call,) = synthesis_calls(workspace, before)
    return replace(before, cohorts=synthesise_cohorts(*call))


def test_pictures_say_what_they_are_and_no_patient_is_in_them(workspace, own, cohorts, result):
    assert set(result.cohorts.uses) - set(cohorts.uses) == {"synthesised/0", "noise/0"}
    made = read_cohort(result.cohorts.uses["synthesised/0"].cohort, workspace.store)
    assert (made.origin, len(made.cases)) == ("synthesised", 8)
    assert all(case.patient_key.startswith("synthesised-0-") and case.attributes == {"cases": "synthesised"} for case in made.cases)
    assert [case.label for case in made.cases] == [0, 1] * 4
    noise = read_cohort(result.cohorts.uses["noise/0"].cohort, workspace.store)
    assert all(case.label is None and case.patient_key.startswith("noise-0-") for case in noise.cases)
    require_clean(result.cohorts, before="a test")
    opened = open_for_training(result.cohorts, Subset.SYNTHESISED.of(0), workspace.store, own.task)
    assert float(opened.images.abs().max()) <= 1
    assert float(opened.images.std()) > 0.1


def test_they_are_made_once_and_of_no_case(workspace, own, result, teacher, monkeypatch):
    assert not synthesis_calls(workspace, result)
    changed = RecipeResult(own, result.cohorts.only(Subset.TEST), teacher=teacher)
    again = synthesise_cohorts(*synthesis_calls(workspace, changed)[0])  # without a training case among the cohorts
    for subset in ("synthesised/0", "noise/0"):
        assert again.uses[subset] == result.cohorts.uses[subset]
    monkeypatch.setattr(stage, "load_network", None)
    assert synthesise_cohorts(*synthesis_calls(workspace, changed)[0]) == again


def test_a_student_learns_from_them_alone_live_or_stored_and_its_records_say_so(workspace, own, result):
    known = with_knowledge(result, [extract_knowledge(*call) for call in knowledge_calls(workspace, result)])
    assert known.knowledge.cases == 8
    assert not isinstance(knowledge_for(known, own.arms["stored"]), KnowledgeSet)
    live, stored, noise = (distill(*call) for call in student_calls(workspace, known))
    assert (live.cases, stored.cases, noise.cases) == ("synthesised", "synthesised", "noise")
    assert live.cohort_digest == result.cohorts.uses["synthesised/0"].cohort.sha256
    assert live.cohort_digest == stored.cohort_digest != noise.cohort_digest
    assert live.weights_digest != noise.weights_digest
    manifest = training_manifest(workspace, result.cohorts, live)
    assert all(patient.startswith("synthesised-0-") for patient in manifest.patients)
    card = model_card(result, live, (), None, (manifest, workspace.data_root))
    assert card.limits[0] == NO_CASE["synthesised"]
    assert NO_CASE["noise"] in model_card(result, noise, (), None, (manifest, workspace.data_root)).limits


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"terms": [{"loss": "cross_entropy"}]}, "cases", "a term that asks the recipe's teacher"),
        ({"unlabelled": True}, "unlabelled", "unlabelled images are real ones"),
        ({"terms": [*KD, {"loss": "explanation_supervision"}]}, "terms", "no such thing as a mask"),
        ({"cases": "noise", "terms": [*KD, {"loss": "cross_entropy"}]}, "terms", "cases: noise, which has no class"),
    ],
)
def test_what_made_pictures_do_not_have_is_said_before_anything_runs(own, changes, field, sentence):
    arm = {"terms": KD, "cases": "synthesised"} | changes
    with pytest.raises(RecipeError, match=sentence) as caught:
        vary_recipe(own, {"arms": {"new": arm}})
    assert f"arms.new.{field}" in str(caught.value)

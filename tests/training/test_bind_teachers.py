from __future__ import annotations

import importlib

import pytest

from data_contracts import RecipeError
from medkd.training.recipes import vary_recipe

KD = [{"loss": "cross_entropy"}, {"loss": "logit_kd"}]
TWO = {"teachers": ["teacher", "second"]}


@pytest.mark.parametrize(
    ("arm", "field", "sentence"),
    [
        ({"terms": KD[:1], "teachers": ["ema"]}, "teachers", "a term with a teacher for teachers"),
        ({"weighting": "entropy"}, "weighting", "several teachers to be weighed by 'entropy'"),
        ({"teachers": ["teacher", "ema"], "weighting": "validation"}, "weighting", "'ema' has no gate"),
        (TWO | {"out_of_fold": True}, "out_of_fold", "a teacher with folds"),
        ({"teachers": ["ema"], "init": "compressed_teacher"}, "init", "a trained teacher first"),
        (TWO | {"terms": [*KD, {"loss": "cat_kd"}], "segmentation": True}, "terms", "level of logits"),
        ({"teachers": ["cv"], "out_of_fold": True, "terms": [*KD, {"loss": "hint"}]}, "terms", "no term over features"),
        ({"teachers": ["peer"], "balance": {"norms": True}}, "balance", "no balance with a peer"),
        (
            {"teachers": ["peer"], "terms": [*KD, {"loss": "attribution_transfer", "options": {"explainer": "saliency"}}]},
            "terms",
            r"closed-form maps \(cam\) of a peer",
        ),
        ({"teachers": ["ema"], "knowledge": "store"}, "knowledge", "a teacher that is trained before"),
        ({"teachers": ["teacher", "self"], "knowledge": "store"}, "knowledge", "whose answers are not stored"),
        (TWO | {"weighting": "confidence", "mix": "cutmix"}, "weighting", "cases of one patient and one label"),
    ],
)
def test_what_teachers_cannot_answer_is_said_with_the_field(recipe, arm, field, sentence):
    teacher = recipe.teacher.model_dump(mode="json") | {"terms": KD[:1]}
    arm = {"terms": KD} | arm
    changes = {"teachers": {"second": teacher, "cv": teacher | {"folds": 2}}, "experiment": None}
    if arm.pop("segmentation", False):
        unet = {"builder": "unet", "options": {"channels": [4, 8, 8]}}
        changes |= {"task.kind": "segmentation", "task.classes": ["background", "lesion"], "explain": {"explainers": [], "measures": []}}
        changes |= {
            "teachers": {"second": teacher | {"network": unet}},
            "teacher.network": unet,
            "student.network": unet,
            "teacher.terms": KD[:1],
        }
    if "mix" in arm:
        changes["student.fit.mix"] = arm.pop("mix")
    with pytest.raises(RecipeError, match=sentence) as caught:
        vary_recipe(recipe, changes | {"arms": {"alone": {"terms": KD[:1]}, "new": arm}})
    assert f"arms.new.{field}" in str(caught.value)


def test_an_assistant_needs_a_term_with_its_teacher_and_another_teacher_must_have_none(recipe):
    teacher = recipe.teacher.model_dump(mode="json")
    with pytest.raises(RecipeError, match="a term with a teacher where learns_from"):
        vary_recipe(recipe, {"teachers": {"a": teacher | {"learns_from": "teacher"}}})
    with pytest.raises(RecipeError, match="teacher terms that need no teacher"):
        vary_recipe(recipe, {"teachers": {"a": teacher | {"terms": KD}}})
    assert (
        vary_recipe(recipe, {"teachers": {"a": teacher | {"terms": KD, "learns_from": "teacher"}}}).teachers["a"].learns_from == "teacher"
    )


def test_an_unknown_entry_of_a_further_teacher_is_named(recipe):
    teacher = recipe.teacher.model_dump(mode="json")
    with pytest.raises(Exception, match="resnett"):
        vary_recipe(recipe, {"teachers": {"a": teacher | {"network": {"builder": "resnett"}}}})


def test_voxels_are_weighed_by_labels_only_with_terms_that_hand_over_those_of_their_views(recipe, monkeypatch):
    unet = {"builder": "unet", "options": {"channels": [4, 8, 8]}}
    teacher = recipe.teacher.model_dump(mode="json") | {"terms": KD[:1], "network": unet, "gate": {}}
    changes = {
        "task.kind": "segmentation", "task.classes": ["background", "lesion"], "explain": {"explainers": [], "measures": []}, "experiment": None,
        "teachers": {"second": teacher}, "teacher.network": unet, "student.network": unet, "teacher.terms": KD[:1], "teacher.gate": {},
        "arms": {"alone": {"terms": KD[:1]}, "new": TWO | {"weighting": "confidence", "terms": [*KD, {"loss": "consistency"}]}},
    }  # fmt: skip
    assert vary_recipe(recipe, changes).arms["new"].weighting == "confidence"
    monkeypatch.delattr(importlib.import_module("medkd.distillation.consistency"), "LABELS_OF_VIEWS")
    with pytest.raises(
        RecipeError, match="hand over the labels of their views where voxels are weighed by confidence, 'consistency'"
    ) as caught:
        vary_recipe(recipe, changes)
    assert caught.value.code == "RECIPE_NEEDS"
    assert "arms.new.terms" in str(caught.value)
    changes["arms"]["new"]["weighting"] = "entropy"
    assert vary_recipe(recipe, changes).arms["new"].weighting == "entropy"

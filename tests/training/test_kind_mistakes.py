"""What a recipe asks that is not there for its kind of task is said with its place, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

import flows
from data_contracts import MedkdError
from medkd.training.recipes import read_recipe

RECIPES = Path(flows.__file__).parent / "recipes"
RESNET, KD = {"builder": "resnet"}, [{"loss": "cross_entropy"}, {"loss": "logit_kd"}]
OF_CASES = [{"loss": "cross_entropy"}, {"loss": "logit_kd", "head": "classification"}]
TWO = "multi_task_two_teachers.yaml"


@pytest.mark.parametrize(
    ("recipe", "changes", "code", "sentence"),
    [
        ("detection.yaml", {"arms.kd.knowledge": "store"}, "RECIPE_TASK", "no arms.kd.knowledge"),
        (
            "detection.yaml",
            {"teacher.gate.min_dice": 0.5},
            "RECIPE_TASK",
            "expected bounds of a detection in its gate (min_cpm), got min_dice",
        ),
        ("phantom-segmentation.yaml", {"teacher.gate.min_auc": 0.5}, "RECIPE_TASK", "bounds of a segmentation in its gate (min_dice)"),
        ("phantom-segmentation.yaml", {"teacher.gate.max_marker_effect": 0.5}, "RECIPE_TASK", "got max_marker_effect"),
        ("phantom-classification.yaml", {"teacher.gate.min_dice": 0.5}, "RECIPE_TASK", "bounds of a classification in its gate"),
        (TWO, {"teachers.classifier.gate.min_dice": 0.5}, "RECIPE_TASK", "bounds of a classification in its gate"),
        ("detection.yaml", {"arms.kd.init": "compressed_teacher"}, "RECIPE_TASK", "no arms.kd.init"),
        ("detection.yaml", {"arms.kd.teachers": ["teacher", "ema"]}, "RECIPE_TASK", "no arms.kd.teachers"),
        ("detection.yaml", {"student.network.builder": "unet", "student.network.options": {}}, "RECIPE_TASK", "an entry for detection"),
        (
            "phantom-segmentation.yaml",
            {"student.network.builder": "detector", "student.network.options": {}},
            "RECIPE_TASK",
            "for segmentation",
        ),
        ("multi_task.yaml", {"student.network.builder": "unet"}, "RECIPE_NEEDS", "a head that classifies"),
        ("multi_task.yaml", {"arms.kd.knowledge": "store"}, "RECIPE_NEEDS", "a store holds one head's answers"),
        ("multi_task.yaml", {"student.fit.mix": "mixup"}, "RECIPE_NEEDS", "a blended image has two classes"),
        ("multi_task.yaml", {"task.case_classes": []}, "RECIPE_NEEDS", "one head only"),
        ("multi_task.yaml", {"task.case_classes": ["benign"]}, "RECIPE_INVALID", "two case_classes"),
        ("multi_task.yaml", {"arms.kd.terms.3": {"loss": "hint", "head": "classification"}}, "RECIPE_NEEDS", "name the layer"),
        ("phantom-segmentation.yaml", {"teacher.head": "segmentation"}, "RECIPE_NEEDS", "of one of two heads"),
        (TWO, {"teacher.head": "classification", "teacher.network": RESNET}, "RECIPE_NEEDS", "by which students are measured"),
        (
            TWO,
            {"teachers.classifier.head": "segmentation", "teachers.classifier.network": {"builder": "unet"}},
            "RECIPE_NEEDS",
            "a further teacher with head: classification",
        ),
        (TWO, {"teachers.classifier.network": {"builder": "unet"}}, "RECIPE_TASK", "an entry for classification"),
        (TWO, {"teachers.classifier.terms.0.head": "classification"}, "RECIPE_NEEDS", "terms that name no head"),
        (
            TWO,
            {"teachers.classifier.learns_from": "teacher", "teachers.classifier.terms": KD},
            "RECIPE_NEEDS",
            "a teacher of the same head as learns_from",
        ),
        (TWO, {"arms.kd.teachers": ["teacher"]}, "RECIPE_NEEDS", "with the head classification"),
        (TWO, {"arms.kd.teachers": ["classifier"]}, "RECIPE_NEEDS", "with the head segmentation"),
        (TWO, {"arms.kd.teachers": ["teacher", "classifier", "ema"]}, "RECIPE_NEEDS", "ema has both"),
        (TWO, {"arms.kd.teachers": ["classifier"], "arms.kd.terms": OF_CASES}, "RECIPE_NEEDS", "and one that segments"),
        (TWO, {"arms.kd.weighting": "validation"}, "RECIPE_NEEDS", "another weighting than validation"),
        (TWO, {"arms.kd_explanation.attribution_source": "random_teacher"}, "RECIPE_NEEDS", "another control than random_teacher"),
    ],
)
def test_what_is_not_there_is_refused_with_a_sentence(recipe, changes, code, sentence):
    with pytest.raises(MedkdError) as caught:
        read_recipe(RECIPES / recipe, changes)
    assert sentence in str(caught.value)
    assert caught.value.code == code


@pytest.mark.parametrize("recipe", ["detection.yaml", "multi_task.yaml", TWO, "multi_task_busbra.yaml"])
def test_the_shipped_recipes_bind(recipe):
    assert read_recipe(RECIPES / recipe, {}).name

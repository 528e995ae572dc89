"""What cannot be in a recipe whose teacher and students do not see the same is said with its place, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

import flows
from data_contracts import MedkdError
from medkd.training.recipes import read_recipe

RECIPES = Path(flows.__file__).parent / "recipes"
DENSE = {
    "task.kind": "segmentation",
    "task.classes": ["background", "lesion", "cyst"],
    "arms": {"alone": {"terms": [{"loss": "cross_entropy"}]}},
    **{f"{who}.network": {"builder": "unet"} for who in ("teacher", "student")},
}


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"student.hidden_classes": ["cist"]}, "RECIPE_HIDDEN_CLASS", "different classes of the task"),
        ({"student.hidden_classes": ["cyst", "cyst"]}, "RECIPE_HIDDEN_CLASS", "different classes of the task"),
        ({"student.hidden_classes": ["benign", "malignant", "cyst"]}, "RECIPE_HIDDEN_CLASS", "all of .* are hidden"),
        ({**DENSE, "student.hidden_classes": ["background"]}, "RECIPE_HIDDEN_CLASS", "the background 'background'"),
        ({**DENSE, "student.hidden_classes": ["lesion", "cyst"]}, "RECIPE_HIDDEN_CLASS", "all of .* are hidden"),
        ({"experiment": {"primary": "auc"}}, "RECIPE_HIDDEN_CLASS", "no experiment"),
        ({"task.classes": ["benign", "malignant"], "student.hidden_classes": []}, "RECIPE_CLASSES", "three classes"),
        ({"data.lesions": [1, 2]}, "RECIPE_INVALID", "one lesion a case where cysts are drawn"),
        ({"student.hidden_cases": "gone"}, "RECIPE_INVALID", "'left_out' or 'unlabelled'"),
    ],
)
def test_a_hidden_class_that_cannot_be_is_refused(changes, code, sentence):
    with pytest.raises(MedkdError, match=sentence) as caught:
        read_recipe(RECIPES / "zero_shot_class.yaml", changes)
    assert caught.value.code == code


def test_the_shipped_recipe_binds():
    assert read_recipe(RECIPES / "zero_shot_class.yaml", {}).student.hidden_classes == ("cyst",)

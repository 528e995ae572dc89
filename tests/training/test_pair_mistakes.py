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


CROSS, ROW = "cross_modality.yaml", "privileged_row.yaml"
STUDY = {"plain": {"words": ["T1"], "without": ["with contrast"]}, "enhanced": {"words": ["T1", "with contrast"]}}


@pytest.mark.parametrize(
    ("recipe", "changes", "code", "sentence"),
    [
        (CROSS, {"task.channels": ["enhanced", "plane"]}, "RECIPE_INPUTS", "got 'plane'.*plain"),
        (CROSS, {"teacher.inputs": ["enhanced", "t9"]}, "RECIPE_INPUTS", "expected teacher.inputs among .* got 't9'"),
        (CROSS, {"student.inputs": ["t9"]}, "RECIPE_INPUTS", "expected student.inputs among .* got 't9'"),
        (CROSS, {"task.channels": ["plain", "plain"]}, "RECIPE_INVALID", "different names"),
        (CROSS, {"task.clinical": ["age"]}, "RECIPE_INVALID", "beside a classification"),
        (CROSS, {"arms.kd.init": "compressed_teacher"}, "RECIPE_INPUTS", "the compressed teacher would need"),
        (CROSS, {"experiment": {"primary": "dice"}}, "RECIPE_INPUTS", "no experiment"),
        (ROW, {"task.clinical": ["age", "wieght"]}, "RECIPE_INPUTS", "got 'wieght'"),
        (ROW, {"student.inputs": ["image", "age"]}, "RECIPE_INPUTS", "students must do without the row"),
        (ROW, {"teacher.inputs": ["age"]}, "RECIPE_INPUTS", "expected an image among the inputs of teacher"),
        (ROW, {"teacher.network.builder": "resnet"}, "RECIPE_INPUTS", "resnet_with_row"),
        (ROW, {"teacher.fit.strong": {"noise": 0.1}}, "RECIPE_INPUTS", "no strong augmentation"),
        (ROW, {"knowledge.views": 2}, "RECIPE_INPUTS", "views: 0 beside a clinical row"),
        (ROW, {"arms.kd.init": "compressed_teacher"}, "RECIPE_INPUTS", "the compressed teacher would need"),
        (ROW, {"data": {"kind": "dicom", "path": "studies"}}, "RECIPE_INPUTS", "DICOM studies, which have no table"),
        (CROSS, {"data": {"kind": "dicom", "path": "studies"}}, "RECIPE_INPUTS", "expected data.channels, which says which volumes"),
        (
            CROSS,
            {"data": {"kind": "dicom", "path": "studies", "channels": STUDY}},
            "RECIPE_INPUTS",
            "volumes, whose places .* got pictures",
        ),
        (
            CROSS,
            {"task.image_size": [8, 16, 16], "data": {"kind": "dicom", "path": "studies", "channels": {"plain": {"modality": "MR"}}}},
            "RECIPE_INPUTS",
            "expected task.channels among .*'plain'.* got 'enhanced'",
        ),
        (
            "few_labels_3d.yaml",
            {"experiment": None, "data": {"kind": "dicom", "path": "studies", "channels": STUDY}},
            "RECIPE_INPUTS",
            r"expected task.channels, which of \['plain', 'enhanced'\] networks see",
        ),
        (
            CROSS,
            {"data": {"kind": "image_folder", "path": "pictures", "label_column": None}},
            "RECIPE_INPUTS",
            "no task.channels of folders of pictures",
        ),
        (
            CROSS,
            {
                "data": {
                    "kind": "volume_folder",
                    "path": "v",
                    "patient_pattern": "odd-even",
                    "dataset": None,
                    "channels": {"enhanced": "images"},
                }
            },
            "RECIPE_INPUTS",
            "got 'plain'",
        ),
        (CROSS, {"teacher": {"registered": "models:/net/1", "inputs": ["plain"]}}, "RECIPE_INVALID", "got registered and inputs"),
    ],
)
def test_inputs_that_cannot_be_are_refused(recipe, changes, code, sentence):
    with pytest.raises(MedkdError, match=sentence) as caught:
        read_recipe(RECIPES / recipe, changes)
    assert caught.value.code == code


def test_the_shipped_recipes_say_who_sees_what():
    cross, row = (read_recipe(RECIPES / name, {}) for name in (CROSS, ROW))
    assert (cross.teacher_task().channels, cross.student_task().channels) == (("enhanced",), ("plain",))
    assert row.teacher_task().clinical == ("age", "tumour_marker", "lymphocytes")
    assert (row.student_task().clinical, row.teacher_task("image_alone").clinical) == ((), ())
    # A recipe in which all see the same says nothing of it.
    plain = read_recipe(RECIPES / "zero_shot_class.yaml", {})
    assert plain.student_training("kd", 0).shown is None
    assert "shown" not in plain.student_training("kd", 0).model_dump()
    assert cross.student_training("kd", 0).shown == cross.task

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from data_contracts import (
    Recipe,
    Role,
    TeacherNetwork,
    network_called,
    networks_of,
    read_record,
    stored_readers,
    student_rounds,
    teacher_named,
    teacher_rounds,
)


@pytest.fixture(scope="module")
def fields():
    """Return the plain fields of the golden recipe with three further teachers."""
    recipe = read_record((Path(__file__).parent / "golden" / "recipe_3.json").read_bytes(), Recipe).model_dump(mode="json")
    terms = next(iter(recipe["arms"].values()))["terms"]
    teacher = recipe["teacher"]
    recipe["teachers"] = {
        "late": teacher | {"learns_from": "early"},
        "early": teacher | {"learns_from": "teacher"},
        "cv": teacher | {"folds": 3},
    }
    recipe["arms"] = {
        "twice": {"terms": terms, "teachers": ["self"], "self_arm": "again"},
        "again": {"terms": terms, "teachers": ["self"]},
        "alone": {"terms": terms},
        "both": {"terms": terms, "teachers": ["teacher", "cv"], "knowledge": "store"},
    }
    recipe["experiment"] = None
    return recipe


def changed(fields, **arms):
    return Recipe.model_validate(fields | {"arms": fields["arms"] | arms})


def test_who_learns_from_another_comes_after_it(fields):
    recipe = Recipe.model_validate(fields)
    assert [[network.arm for network in networks] for networks in teacher_rounds(recipe)] == [
        ["teacher_early", "teacher_cv_fold1", "teacher_cv_fold2", "teacher_cv_fold3"],
        ["teacher_late"],
    ]
    assert student_rounds(recipe) == (("alone", "both"), ("again",), ("twice",))
    assert student_rounds(recipe.model_copy(update={"arms": {"again": recipe.arms["again"]}})) == (("again",),)  # narrowed to one arm


def test_networks_are_found_by_what_their_files_are_called(fields):
    recipe = Recipe.model_validate(fields)
    assert networks_of(recipe, "teacher") == (TeacherNetwork("teacher"),)
    assert network_called(recipe, "teacher_cv_fold2") == TeacherNetwork("cv", 2)
    assert teacher_named(recipe, "early").learns_from == "teacher"
    assert stored_readers(recipe, "cv") == (recipe.arms["both"],)
    assert stored_readers(recipe, "early") == ()


def test_each_network_is_trained_as_its_teacher_says(fields):
    recipe = Recipe.model_validate(fields)
    fold = recipe.teacher_training(TeacherNetwork("cv", 2))
    assert (fold.role, fold.arm, fold.fold) == (Role.TEACHER, "teacher_cv_fold2", (2, 3))
    assert recipe.teacher_training(TeacherNetwork("late")).objective.teachers == ("early",)
    assert not recipe.extraction("teacher").is_further
    assert recipe.extraction("cv").is_further


def test_a_recipe_of_one_teacher_is_written_as_it_was_before_there_were_several():
    payload = (Path(__file__).parent / "golden" / "recipe_3.json").read_bytes()
    recipe = read_record(payload, Recipe)
    written = recipe.canonical_json() + recipe.teacher_training().canonical_json() + recipe.extraction().canonical_json()
    for word in (
        b'"teachers"',
        b"weighting",
        b"out_of_fold",
        b"learns_from",
        b'"folds"',
        b'"fold"',
        b"self_arm",
        b"ema_decay",
        b"is_further",
    ):
        assert word not in written, word


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("teacher", {"learns_from": "cv"}, "learns from none as teacher"),
        ("teacher", {"folds": 2}, "one network that learns from none"),
        ("teachers", {"ema": {}}, "names of further teachers"),
        ("teachers", {"Big one": {}}, "names of further teachers"),
        ("teachers", {"a": {"learns_from": "nobody"}}, "learns_from of 'a'"),
        ("teachers", {"cv": {"folds": 2}, "a": {"learns_from": "cv"}}, "a teacher of one network"),
        ("teachers", {"a": {"learns_from": "b"}, "b": {"learns_from": "a"}}, "in a line"),
        ("teachers", {"a": {"folds": 1}}, "greater than or equal to 2"),
    ],
)
def test_teachers_that_cannot_be_trained_are_refused_in_one_sentence(fields, field, value, sentence):
    base = fields["teacher"]
    more = base | value if field == "teacher" else {name: base | own for name, own in value.items()}
    arms = {"alone": fields["arms"]["alone"]}
    with pytest.raises(ValidationError, match=sentence):
        Recipe.model_validate(fields | {"teachers": {}, "arms": arms} | {field: more})


@pytest.mark.parametrize(
    ("arm", "sentence"),
    [
        ({"teachers": ["nobody"]}, "teachers of arm 'new' among"),
        ({"teachers": ["teacher", "teacher"]}, "each teacher of an arm once"),
        ({"teachers": []}, "at least 1"),
        ({"teachers": ["self"], "self_arm": "nobody"}, "as self_arm of 'new'"),
        ({"teachers": ["self"], "self_arm": "new"}, "a self_arm before its arm"),
        ({"ema_decay": 1.0}, "less than 1"),
    ],
)
def test_arms_that_ask_nobody_are_refused_in_one_sentence(fields, arm, sentence):
    with pytest.raises(ValidationError, match=sentence):
        changed(fields, new=fields["arms"]["alone"] | arm)


def test_an_arm_is_not_called_as_a_teachers_network(fields):
    with pytest.raises(ValidationError, match="not called as the networks"):
        changed(fields, teacher_cv_fold1=fields["arms"]["alone"])


def test_a_registered_version_stands_as_the_recipes_own_teacher_alone(fields):
    arms = {"alone": fields["arms"]["alone"]}
    with pytest.raises(ValidationError, match="registered of 'a' among the further teachers"):
        Recipe.model_validate(fields | {"arms": arms, "teachers": {"a": {"registered": "models:/r-teacher/1"}}})

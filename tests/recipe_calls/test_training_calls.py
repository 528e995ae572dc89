from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from data_contracts import Arm, KnowledgeError, Lineage, LossTerm, Recipe, read_record
from medkd.recipe_calls.training_calls import (
    every_knowledge_call,
    fetched_parts,
    knowledge_for,
    named_knowledge,
    reads_store,
    student_calls,
)


@pytest.fixture
def recipe():
    return read_record((Path(__file__).parents[1] / "contracts" / "golden" / "recipe_3.json").read_bytes(), Recipe)


def test_students_are_trained_arm_by_arm_and_only_readers_are_given_a_store(recipe):
    (arm,) = recipe.arms.values()
    recipe = recipe.model_copy(update={"arms": {"kd": arm, "stored": arm.model_copy(update={"knowledge": "store"})}})
    taught = SimpleNamespace(recipe=recipe, cohorts="C", teacher="T", teachers=(), verdicts=(), knowledge="K", fetched=())
    calls = student_calls("W", taught)
    assert [(spec.arm, spec.seed, knowledge) for _, spec, _, _, knowledge in calls] == [
        ("kd", 0, None), ("kd", 1, None), ("stored", 0, "K"), ("stored", 1, "K"),
    ]  # fmt: skip
    assert reads_store(recipe)
    assert not reads_store(recipe.model_copy(update={"arms": {"kd": arm}}))


def stored_by(teacher, number):
    lineage = Lineage(name=teacher, version=number, manifest_digest=f"{number}" * 64)
    return SimpleNamespace(teacher=lineage, digest=teacher), Lineage(name="r-knowledge", version=number, manifest_digest=f"{number}" * 64)


@pytest.fixture
def several(recipe):
    teacher = recipe.teacher.model_copy(update={"folds": None})
    arm = Arm(terms=(LossTerm(loss="logit_kd"),), knowledge="store", teachers=("teacher", "second", "cv"))
    return recipe.model_copy(update={"teachers": {"second": teacher, "cv": teacher.model_copy(update={"folds": 2})}, "arms": {"kd": arm}})


def test_fetched_knowledge_is_each_teachers_whatever_the_order_it_was_named_in(several):
    names = ["r-teacher_cv_fold2", "r-teacher_second", "elsewhere-resnet", "r-teacher_cv_fold1"]
    found = named_knowledge(several, [stored_by(name, number) for number, name in enumerate(names, 1)])
    assert [one.teacher for one in found] == ["teacher", "second", "cv", "cv"]
    assert [one.record.digest for one in found] == ["elsewhere-resnet", "r-teacher_second", "r-teacher_cv_fold1", "r-teacher_cv_fold2"]
    with pytest.raises(KnowledgeError, match=r"once.*leave one out") as caught:
        named_knowledge(several, [stored_by("r-teacher_second", 1), stored_by("s-teacher_second", 2)])
    assert caught.value.code == "KNOWLEDGE_FOREIGN"


def test_an_arm_is_given_the_fetched_knowledge_of_its_teachers_and_a_missing_fold_is_named(several):
    names = ["r-teacher", "r-teacher_second", "r-teacher_cv_fold1"]
    fetched = named_knowledge(several, [stored_by(name, number) for number, name in enumerate(names, 1)])
    result, two = (
        SimpleNamespace(recipe=several, fetched=fetched),
        several.arms["kd"].model_copy(update={"teachers": ("second", "teacher")}),
    )
    given = fetched_parts(result, two)
    assert given == [("second", fetched[1].record), ("teacher", fetched[0].record)]
    assert knowledge_for(result, two.model_copy(update={"teachers": ("second",)})) is fetched[1].record
    with pytest.raises(KnowledgeError, match=r"2 network.* of the teacher 'cv'.* got 1") as caught:
        knowledge_for(result, several.arms["kd"])
    assert caught.value.code == "KNOWLEDGE_MISSING"


def test_every_teacher_that_an_arm_asks_is_extracted_for_another_site(several):
    checkpoint = SimpleNamespace
    result = SimpleNamespace(
        recipe=several,
        cohorts="C",
        verdicts=(),
        teacher=checkpoint(arm="teacher", weights_digest="t"),
        teachers=tuple(checkpoint(arm=f"teacher_{arm}", weights_digest=arm) for arm in ("second", "cv_fold1", "cv_fold2")),
    )
    asked = [call[3].arm for call in every_knowledge_call("W", result)]
    assert asked == ["teacher", "teacher_second", "teacher_cv_fold1", "teacher_cv_fold2"]
    assert [call[1].is_further for call in every_knowledge_call("W", result)] == [False, True, True, True]

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from data_contracts import Arm, CohortSet, CohortUse, KnowledgeError, Lineage, LossTerm, Part, Recipe, Ref, read_record
from medkd.recipe_calls import (
    by_arm,
    comparison_calls,
    evaluation_calls,
    every_knowledge_call,
    explanation_calls,
    fetched_parts,
    knowledge_for,
    loss_calls,
    named_knowledge,
    reads_store,
    student_calls,
    training_features_calls,
)


@pytest.mark.parametrize(
    ("students", "pairs"),
    [
        ("alone kd kd_explanation", ["kd-alone", "kd_explanation-alone", "kd_explanation-kd"]),
        ("alone supervision kd", ["supervision-alone", "kd-alone"]),
        ("one two three", ["two-one", "three-two"]),
        ("kd", []),
    ],
)
def test_arms_are_compared_with_the_baselines_before_them(students, pairs):
    arms = {
        "teacher": (SimpleNamespace(role="teacher"),),
        **{name: (SimpleNamespace(role="student", arm=name),) for name in students.split()},
    }
    calls = comparison_calls(None, SimpleNamespace(cohorts=None), arms)
    assert [f"{a[0].arm}-{b[0].arm}" for _, _, a, b, _ in calls] == pairs


@pytest.fixture
def recipe():
    return read_record((Path(__file__).parent / "contracts" / "golden" / "recipe_3.json").read_bytes(), Recipe)


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


def test_every_model_is_evaluated_beside_the_first_which_is_the_teacher(recipe):
    calls = evaluation_calls("W", SimpleNamespace(recipe=recipe, cohorts="C", evaluated=("teacher", "a", "b")))
    assert [(model, beside) for *_, model, beside in calls] == [("teacher", "teacher"), ("a", "teacher"), ("b", "teacher")]


def test_students_of_a_store_lose_against_the_registered_teacher_and_without_one_nothing_is_stated():
    results = tuple(SimpleNamespace(weights_digest=digest) for digest in "tab")
    teacher, students = SimpleNamespace(weights_digest="t"), tuple(SimpleNamespace(weights_digest=one, teacher_digest="t") for one in "ab")
    recipe = SimpleNamespace(task=SimpleNamespace(kind=None, case_classes=()))
    result = SimpleNamespace(recipe=recipe, teacher=None, reference=teacher, students=students, case_results=results, calibrations=())
    assert [(of.weights_digest, own.weights_digest) for _, of, own, _ in loss_calls("W", result)] == [("t", "a"), ("t", "b")]
    assert loss_calls("W", SimpleNamespace(**{**vars(result), "reference": None})) == []


def test_training_cases_are_those_of_the_students_seed_and_unlabelled_ones_where_its_arm_learns_from_them(recipe):
    (arm,) = recipe.arms.values()
    arms = {name: arm.model_copy(update={"unlabelled": name == "kd"}) for name in ("alone", "kd")}
    recipe = recipe.model_copy(update={"arms": arms})
    ref = Ref(store="run", key="c", sha256="0" * 64)
    uses = {name: CohortUse(cohort=ref, part=Part.TRAIN) for name in ("student_train/0", "unlabelled/0", "student_train/1", "test")}
    cohorts = CohortSet(uses=uses, certificates=())
    students = [
        SimpleNamespace(arm=name, seed=seed) for name, seed in (("alone", 0), ("kd", 0), ("kd", 1), ("kd", 7), ("kd-compressed_a", 0))
    ]
    calls = training_features_calls("W", SimpleNamespace(recipe=recipe, cohorts=cohorts, students=students))
    assert [(call[3].arm, call[3].seed, call[4], sorted(call[2].uses)) for call in calls] == [
        ("alone", 0, ("student_train/0",), ["student_train/0"]),
        ("kd", 0, ("student_train/0", "unlabelled/0"), ["student_train/0", "unlabelled/0"]),
        ("kd", 1, ("student_train/1",), ["student_train/1"]),
        ("kd-compressed_a", 0, ("student_train/0",), ["student_train/0"]),
    ]


def test_evaluations_of_an_arm_stay_together_in_the_order_of_their_seeds():
    one, other, again = (SimpleNamespace(arm=arm) for arm in ("kd", "alone", "kd"))
    assert by_arm([one, other, again]) == {"kd": (one, again), "alone": (other,)}


def test_the_gap_to_the_teacher_is_measured_from_the_student_alone_only():
    arms = {
        "teacher": (SimpleNamespace(role="teacher"),),
        **{name: (SimpleNamespace(role="student", arm=name),) for name in ("alone", "kd", "hint")},
    }
    calls = comparison_calls(None, SimpleNamespace(cohorts=None), arms)
    assert [above == arms["teacher"] for *_, above in calls] == [True, True, False]


def test_every_student_is_explained(recipe):
    students = tuple(SimpleNamespace(arm=arm, seed=seed) for arm in ("kd", "hint") for seed in recipe.seeds)
    result = SimpleNamespace(recipe=recipe, cohorts="C", students=students, require_teacher=lambda: "T")
    assert [(call[3].arm, call[3].seed, call[4], call[5]) for call in explanation_calls("W", result)] == [
        (arm, seed, "T", ()) for arm in ("kd", "hint") for seed in recipe.seeds
    ]  # fmt: skip


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

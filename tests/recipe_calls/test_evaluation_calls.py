from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from data_contracts import CohortSet, CohortUse, Part, Recipe, Ref, read_record
from medkd.recipe_calls.evaluation_calls import (
    by_arm,
    comparison_calls,
    evaluation_calls,
    explanation_calls,
    loss_calls,
    training_features_calls,
)


@pytest.fixture
def recipe():
    return read_record((Path(__file__).parents[1] / "contracts" / "golden" / "recipe_3.json").read_bytes(), Recipe)


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

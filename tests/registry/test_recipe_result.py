from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import Checkpoint, CohortSet, Estimate, NetworkSpec, Ref, Registered, RegistryError, Scorecard, Task
from medkd.registry.recipe_result import RecipeResult

TASK = Task(kind="classification", classes=("a", "b"))


def checkpoint(arm, seed, digit):
    weights = Ref(store="run", key="w", sha256=digit * 64)
    return Checkpoint(
        role="teacher" if arm == "teacher" else "student", arm=arm, seed=seed, network=NetworkSpec(builder="resnet"), task=TASK,
        weights=weights, weights_digest=digit * 64, cohort_digest="c", recipe_digest="d" * 64, parameters=1, epochs=1,
    )  # fmt: skip


def scorecard(arm, digits, **figures):
    return Scorecard(
        subject=f"r/{arm}", role="teacher" if arm == "teacher" else "student", cohort_digest="c", seeds=tuple(range(len(digits))),
        weights_digests=tuple(digit * 64 for digit in digits),
        figures={name: Estimate(mean=mean, low=0, high=1, n=9) for name, mean in figures.items()},
    )  # fmt: skip


TEACHER = checkpoint("teacher", 0, "0")
STUDENTS = tuple(
    checkpoint(arm, seed, digit) for arm, seed, digit in (("alone", 0, "1"), ("alone", 1, "2"), ("kd", 0, "3"), ("kd", 1, "4"))
)


def result(**more):
    return RecipeResult(SimpleNamespace(name="r"), CohortSet(uses={}, certificates=()), **more)


def cards(teacher=None, alone=None, kd=None):
    return (scorecard("teacher", "0", **(teacher or {})), scorecard("alone", "12", **(alone or {})), scorecard("kd", "34", **(kd or {})))


def test_models_are_the_teacher_where_there_is_one_and_then_the_students():
    assert result(teacher=TEACHER, students=STUDENTS).models == (TEACHER, *STUDENTS)
    assert result(students=STUDENTS).models == STUDENTS
    assert result().models == ()


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        (cards({"auc": 0.99}, {"auc": 0.7}, {"auc": 0.8}), "3"),
        (cards({"auc": 0.99}, {"auc": 0.9}, {"auc": 0.8}), "1"),
        (cards({}, {"auc": 0.9, "auc_debiased": 0.6}, {"auc": 0.8, "auc_debiased": 0.7}), "3"),  # the shortcut does not help there
        (cards({}, {"dice": 0.5}, {"dice": 0.4}), "1"),
        (cards({}, {"dice": 0.9, "auc": 0.1}, {"dice": 0.1, "auc": 0.9}), "3"),
    ],
)
def test_the_best_student_is_the_first_seed_of_the_arm_with_the_best_figure_and_never_the_teacher(figures, best):
    found = result(teacher=TEACHER, students=STUDENTS, scorecards=figures).best_student()
    assert found.weights_digest == best * 64
    assert found.seed == 0


def test_what_is_there_is_given_and_what_is_not_is_refused_under_the_recipes_name():
    registered = Registered(models=())
    assert result(teacher=TEACHER).require_teacher() is TEACHER
    assert result(registered=registered).require_registered() is registered
    for require, code in (("require_teacher", "TEACHER_MISSING"), ("require_registered", "REVIEW_BEFORE_REGISTRATION")):
        with pytest.raises(RegistryError, match=r"of r\b") as caught:
            getattr(result(), require)()
        assert caught.value.code == code

from __future__ import annotations

from pathlib import Path

import pytest

import flows
from data_contracts import Checkpoint, CheckpointSeries, Configuration, NetworkSpec, Ref, Role, Snapshot, Task, ValidationScores
from medkd.experiment.choose import choose_configuration, choose_epoch, criterion, dominated
from medkd.training.recipes import read_recipe

DIGEST = "a" * 64


def seen(task, agreement, oracle, seed=0):
    return ValidationScores(
        arm="kd", seed=seed, task=task, agreement=agreement, response=1 - agreement, gap=1.0, oracle=oracle, seconds=2.0
    )


def test_the_choice_is_made_by_validation_and_the_oracle_is_only_shown():
    tried = ({"w": 1}, {"w": 3}, {"w": 10})
    shown = [[seen(0.9, 0.2, 0.6), seen(0.8, 0.4, 0.6)], [seen(0.7, 0.5, 0.7)] * 2, [seen(0.6, 0.1, 0.99)] * 2]
    search = choose_configuration(tried, shown, "agreement")
    assert (search.chosen, search.by_task, search.oracle) == (1, 0, 2)
    assert search.configurations[0].task == pytest.approx(0.85)
    assert search.configurations[0].seconds == 4
    assert choose_configuration(tried, shown, "task").chosen == 0
    assert choose_configuration(tried, shown, "response").chosen == 2


def test_ties_go_to_the_first():
    assert choose_configuration(({}, {}), [[seen(0.5, 0.5, 0.1)], [seen(0.5, 0.5, 0.9)]], "task").chosen == 0


def course(seed, values):
    ref = Ref(store="run", key="w", sha256=DIGEST)
    last = Checkpoint(
        role=Role.STUDENT, arm="kd", seed=seed, network=NetworkSpec(builder="resnet"), task=Task(kind="classification", classes=("a", "b")),
        weights=ref, weights_digest=DIGEST, cohort_digest="c", recipe_digest=DIGEST, parameters=1, epochs=6, train_seconds=12.0,
    )  # fmt: skip
    points = [
        Snapshot(epoch=e, weights=Ref(store="run", key=f"w{e}", sha256=f"{e}" * 64), scores=seen(*v, seed=seed))
        for e, v in zip((2, 4, 6), values, strict=True)
    ]
    return CheckpointSeries(last=last, snapshots=tuple(points))


def test_the_plateau_is_read_off_the_mean_over_seeds():
    courses = [
        course(0, [(0.5, 0.9, 0.1), (0.9, 0.2, 0.2), (0.8, 0.3, 0.9)]),
        course(1, [(0.5, 0.1, 0.1), (0.6, 0.9, 0.2), (0.8, 0.9, 0.9)]),
    ]
    assert choose_epoch(courses, "task").epoch == 6
    assert choose_epoch(courses, "agreement").epoch == 6
    assert choose_epoch(courses[:1], "task").epoch == 4
    assert choose_epoch(courses[:1], "agreement").epoch == 2
    assert choose_epoch(courses[:1], "task").oracle_epoch == 6
    assert [p.task for p in choose_epoch(courses, "task").curve] == pytest.approx([0.5, 0.75, 0.8])


def test_a_course_gives_the_student_of_an_epoch_with_its_share_of_the_time():
    student = course(0, [(0.5, 0.5, 0.5)] * 3).at(4)
    assert (student.epochs, student.weights.key, student.weights_digest, student.train_seconds) == (4, "w4", "4" * 64, 8.0)


def test_an_arm_without_a_teacher_is_chosen_by_the_task():
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "shortcut.yaml")
    assert criterion(recipe, "kd_explanation") == "agreement"
    assert criterion(recipe, "supervision") == "task"


def test_what_is_beaten_in_both_is_off_the_front():
    points = [(0.9, 0.1), (0.8, 0.5), (0.7, 0.4), (0.8, 0.5)]
    configurations = [Configuration(options={}, task=t, agreement=a, response=0.0, oracle=0.0, seconds=1.0) for t, a in points]
    assert dominated(configurations) == (False, False, True, False)

"""How the runs of a recipe are found again: by recipe, folder and beginning of each training."""

from __future__ import annotations

import shutil
from dataclasses import replace

from data_contracts import CohortSet, CohortUse, Part, Ref, Role, Subset
from medkd.registry.recipe_run import (
    MOST_DIGEST,
    RECIPE_RUN,
    RUN_FOLDER,
    flattened,
    recipe_run_of,
    run_folder_id,
    source_tags,
    tracked_training,
    tracked_trainings,
)
from medkd.storage.metrics_log import MetricsLog
from medkd.storage.workspace import local_workspace


def test_a_folder_keeps_its_name_where_it_is_moved_and_another_has_another(tmp_path):
    own = run_folder_id(tmp_path / "run")
    assert run_folder_id(tmp_path / "run") == own
    shutil.move(tmp_path / "run", tmp_path / "moved")
    assert run_folder_id(tmp_path / "moved") == own != run_folder_id(tmp_path / "run")


def test_the_same_recipe_in_the_same_folder_is_the_same_run(tmp_path, recipe):
    first, second = (local_workspace(tmp_path / name) for name in ("first", "second"))
    run = recipe_run_of(first, recipe)
    assert recipe_run_of(first, recipe) == run
    assert recipe_run_of(second, recipe).key != run.key
    assert recipe_run_of(first, recipe.model_copy(update={"description": "another"})).key != run.key
    assert (run.tags[RECIPE_RUN], run.tags[RUN_FOLDER]) == (run.key, run_folder_id(first.root))
    assert run.params["task.kind"] == "classification"


def test_every_training_is_listed_the_teachers_first(tmp_path, recipe):
    workspace = local_workspace(tmp_path)
    trainings = tracked_trainings(workspace, recipe)
    students = [f"{arm}-{seed}" for arm in recipe.arms for seed in recipe.seeds]
    assert trainings[0].tags["medkd.role"] == Role.TEACHER
    assert [one.name for one in trainings[1:]] == students == [one.name for one in tracked_trainings(workspace, recipe, teacher=False)]
    assert len({one.key() for one in trainings}) == len(trainings)
    assert all(one.of == trainings[0].of for one in trainings)


def test_a_training_that_begins_anew_is_another_one_and_one_that_goes_on_is_not(tmp_path, recipe):
    training = tracked_trainings(local_workspace(tmp_path), recipe)[0]
    log = MetricsLog(training.journal)
    log.write_epoch(1, {"loss": 1.0})
    started = training.key()
    log.write_epoch(2, {"loss": 0.5})
    assert training.key() == started
    log.write_epoch(1, {"loss": 1.0})
    assert training.key() != started
    assert replace(training, name="another").key() != training.key()


def test_data_sets_are_those_that_it_is_trained_and_scored_on(tmp_path, recipe):
    workspace, spec = local_workspace(tmp_path), recipe.student_training(next(iter(recipe.arms)), recipe.seeds[0])
    subsets = {Subset.TEACHER_TRAIN.value: "1", Subset.STUDENT_TRAIN.of(spec.seed): "2", Subset.TEST.value: "3"}
    uses = {
        name: CohortUse(cohort=Ref(store="run", key=f"{digit}.json", sha256=digit * 64), part=Part.TRAIN) for name, digit in subsets.items()
    }
    found = tracked_training(workspace, recipe_run_of(workspace, recipe), spec, CohortSet(uses=uses, certificates=()))
    assert [(one.digest, one.context) for one in found.datasets] == [("2" * MOST_DIGEST, "training"), ("3" * MOST_DIGEST, "evaluation")]


def test_nested_values_are_named_by_their_place():
    assert flattened({"a": {"b": True, "c": [1, 2]}, "d": [{"e": "text"}, None]}) == {
        "a.b": "true",
        "a.c": "[1, 2]",
        "d.0.e": "text",
        "d.1": "null",
    }


def test_a_run_says_which_code_it_is_of():
    import medkd

    assert source_tags()["mlflow.source.name"] == f"medkd {medkd.__version__}"

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import Arm, ExperimentPlan, ExtractionConfig, LossTerm, Recipe, Role, read_record

GOLDEN = Path(__file__).parent / "golden" / "recipe_3.json"
ARM = Arm(terms=(LossTerm(loss="logit_kd"),))


@pytest.fixture
def recipe():
    return read_record(GOLDEN.read_bytes(), Recipe)


def varied(recipe, **changes):
    """Return a recipe with other fields, validated again."""
    return Recipe.model_validate({**recipe.model_dump(), **changes})


@pytest.mark.parametrize("name", ["With_Capital", "with space", "-", "a-b"])
def test_names_of_arms_can_stand_in_names_of_files(recipe, name):
    with pytest.raises(ValueError, match="lower-case letters, digits and underscores"):
        varied(recipe, arms={name: ARM})


@pytest.mark.parametrize("name", ["teacher", "kd_gap", "kd_longer", "kd__nobody"])
def test_names_that_variants_have_are_taken(recipe, name):
    with pytest.raises(ValueError, match="variants are called so"):
        varied(recipe, arms={name: ARM})


def test_a_control_of_an_arm_is_an_arm_as_experiments_train_it(recipe):
    assert set(varied(recipe, arms={"kd": ARM, "kd__shuffled": ARM}).arms) == {"kd", "kd__shuffled"}


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"baselines": ("alone", "kd")}, r"\['alone'\] are none"),
        ({"baselines": ("kd", "kd"), "controlled": ("other",)}, r"\['other'\] are none"),
        (
            {"baselines": ("kd", "kd"), "search": {"kd": ({},)}, "search_seeds": (1,)},
            r"\[1\] are: what was chosen on must not be scored on",
        ),
        ({"baselines": ("kd", "kd"), "ceiling": "other"}, "as ceiling, got 'other'"),
        ({"baselines": ("kd", "kd"), "ceiling": "kd@nowhere"}, "as ceiling, got 'kd@nowhere'"),
        ({"baselines": ("kd", "kd"), "pareto": "kd"}, "'kd' of the Pareto sweep among the searched arms"),
        ({"baselines": ("kd", "kd"), "gap": {"arm": "other"}}, r"\['other'\] are none"),
    ],
)
def test_what_an_experiment_names_is_in_its_recipe(recipe, plan, said):
    with pytest.raises(ValueError, match=said):
        varied(recipe, experiment={"primary": "auc", **plan})


def test_cohorts_depend_on_the_seeds_of_the_search_and_not_on_the_arms(recipe):
    plan = ExperimentPlan(primary="auc", baselines=("kd", "kd"), search={"kd": ({},)}, search_seeds=(7,))
    searched = varied(recipe, experiment=plan.model_dump())
    assert searched.cohorts().seeds == (0, 1, 7)
    assert varied(recipe, arms={"kd": ARM, "more": ARM}).cohorts() == recipe.cohorts()


def test_a_teacher_is_trained_by_its_own_terms_and_seed(recipe):
    spec = recipe.teacher_training()
    assert (spec.role, spec.arm, spec.seed) == (Role.TEACHER, "teacher", recipe.teacher.seed)
    assert spec.objective.terms == recipe.teacher.terms
    assert spec.selection is None


@pytest.mark.parametrize(("kind", "measure"), [("classification", "auc"), ("segmentation", "dice")])
def test_patience_is_about_the_measure_of_the_task(recipe, kind, measure):
    fit = recipe.student.fit.model_copy(update={"patience": 2})
    patient = recipe.model_copy(
        update={
            "student": recipe.student.model_copy(update={"fit": fit}),
            "task": recipe.task.model_copy(update={"kind": type(recipe.task.kind)(kind)}),
        }
    )
    assert patient.student_training("kd", 0).selection == measure
    assert patient.teacher_training().selection is None


def test_only_an_arm_that_reads_a_store_depends_on_how_it_is_replayed(recipe):
    arms = {"kd": ARM, "stored": ARM.model_copy(update={"knowledge": "store"})}
    half = recipe.model_copy(update={"arms": arms, "knowledge": ExtractionConfig(resolution="half", class_map={"malignant": ("a",)})})
    live, stored = (half.student_training(arm, 1) for arm in arms)
    assert (live.resolution, live.class_map) == (None, {})
    assert (stored.resolution, stored.class_map, stored.seed) == ("half", {"malignant": ("a",)}, 1)


def test_a_teacher_is_asked_what_its_readers_read_whatever_they_make_of_it(recipe):
    reader = ARM.model_copy(update={"knowledge": "store"})
    half = recipe.model_copy(
        update={"arms": {"kd": ARM, "stored": reader}, "knowledge": ExtractionConfig(resolution="half", class_map={"malignant": ("a",)})}
    )
    spec = half.extraction()
    assert spec.readers == (reader,)
    assert (spec.config.resolution, spec.config.class_map, spec.views) == ("full", {}, None)
    assert recipe.extraction().readers == tuple(recipe.arms.values())
    assert recipe.extraction().unlabelled
    drawn = recipe.model_copy(update={"knowledge": ExtractionConfig(views=2)})
    assert drawn.extraction().views == recipe.student.fit

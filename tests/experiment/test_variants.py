from __future__ import annotations

from pathlib import Path

import pytest

import flows
from data_contracts import AttributionSource, CatalogueError, RecipeError
from medkd.experiment.variants import in_condition, renamed, single_arm, with_controls
from medkd.training.recipes import read_recipe
from medkd.training.training_run import family

RECIPES = Path(flows.__file__).parent / "recipes"


@pytest.fixture(scope="module")
def recipe():
    return read_recipe(RECIPES / "shortcut.yaml")


def test_a_variant_does_not_change_when_another_arm_does(recipe):
    other = recipe.model_copy(update={"arms": {k: v for k, v in recipe.arms.items() if k != "hints"}, "experiment": None, "seeds": (0, 7)})
    assert single_arm(recipe, "kd").student_training("kd", 0) == single_arm(other, "kd").student_training("kd", 0)
    assert list(single_arm(recipe, "kd").arms) == ["kd"]


def test_changes_are_of_the_arm_or_of_the_recipe(recipe):
    varied = single_arm(recipe, "kd_explanation", {"terms.1.weight": 30.0, "student.fit.learning_rate": 0.01})
    assert varied.arms["kd_explanation"].terms[1].weight == 30.0
    assert varied.student.fit.learning_rate == 0.01
    assert varied.name != single_arm(recipe, "kd_explanation").name
    assert family(varied.name) == recipe.name == family(single_arm(recipe, "kd").name)


def test_a_change_that_does_not_exist_is_refused_before_anything_is_trained(recipe):
    with pytest.raises(CatalogueError, match="warmth"):
        single_arm(recipe, "kd", {"terms.0.options.warmth": 2})
    with pytest.raises(RecipeError) as caught:
        single_arm(recipe, "kd", {"terms.5.weight": 2})
    assert caught.value.code == "RECIPE_OVERRIDE"


def test_every_control_is_run_for_every_controlled_arm(recipe):
    controls = with_controls(recipe)
    assert {kind for _, kind in controls.values()} == set(AttributionSource) - {AttributionSource.TEACHER}
    assert set(controls) == {f"kd_explanation__{kind.value}" for kind in AttributionSource if kind is not AttributionSource.TEACHER}
    varied = single_arm(recipe, "kd_explanation", {"attribution_source": "shuffled"}, name="kd_explanation__shuffled")
    assert varied.arms["kd_explanation__shuffled"].attribution_source is AttributionSource.SHUFFLED


def test_a_control_of_an_arm_without_explanations_is_refused(recipe):
    with pytest.raises(RecipeError, match="control would change nothing"):
        single_arm(recipe, "kd", {"attribution_source": "shuffled"})


def test_a_teacher_is_not_trained_again_because_arms_or_students_changed(recipe):
    changed = recipe.model_copy(update={"arms": {"kd": recipe.arms["kd"]}, "experiment": None, "seeds": (3,)})
    changed = changed.model_copy(update={"student": changed.student.model_copy(update={"fit": recipe.teacher.fit})})
    assert recipe.teacher_training() == changed.teacher_training()
    biased = in_condition(recipe, {"data.teacher_marker_rates": (0.05, 0.95)})
    assert recipe.cohorts() != biased.cohorts()
    assert family(biased.name) == recipe.name


def test_null_repetitions_begin_at_other_weights(recipe):
    assert family(single_arm(renamed(recipe, "shortcut-null1"), "alone").name) == "shortcut-null1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"experiment.search.kd": [{}]}, "same number of configurations"),
        ({"experiment.search_seeds": [0]}, "must not be scored on"),
        ({"experiment.search_seeds": []}, "search_seeds"),
        ({"experiment.controlled": ["nobody"]}, "nobody"),
        ({"experiment.pareto": "refined"}, "refined"),
        ({"experiment.ceiling": "alone@nowhere"}, "alone@nowhere"),
        ({"experiment.conditions": {"x": {"overrides": {"data.student": 9}, "arms": ["who"]}}}, "who"),
    ],
)
def test_a_plan_that_flatters_or_does_not_fit_is_refused(change, said):
    with pytest.raises(RecipeError, match=said):
        read_recipe(RECIPES / "shortcut.yaml", change)

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import KnowledgeError
from flows.synthesise import with_pictures
from medkd.registry.recipe_result import RecipeResult
from tests.flows.recording import golden_recipe, recorded


def asking(cases):
    recipe = golden_recipe(cases)
    arm = recipe.arms["kd"].model_copy(update={"cases": cases})
    return RecipeResult(recipe.model_copy(update={"arms": {"kd": arm}}), SimpleNamespace(uses={}), teacher="teacher")


def test_pictures_are_made_for_the_recipes_that_ask_for_them():
    results = [asking("real"), asking("synthesised")]
    with recorded(synthesised_cases="with pictures") as engine:
        real, free = with_pictures("workspace", [results[0], results[1]])
    ((title, function, calls, _),) = engine.groups
    assert (title, function) == ("synthesised cases", "synthesise_cohorts")
    assert calls[0][3] == "teacher"
    assert free.cohorts == "with pictures"
    assert real.cohorts == results[0].cohorts


def test_nobody_is_asked_where_all_see_cases():
    with recorded() as engine:
        assert with_pictures("workspace", [asking("real")])
    assert not engine.groups


def test_a_site_without_the_teachers_weights_is_told_so():
    lacking = asking("synthesised")
    with recorded(), pytest.raises(KnowledgeError, match="expected the weights of the teacher of synthesised") as caught:
        with_pictures("workspace", [RecipeResult(lacking.recipe, lacking.cohorts)])
    assert caught.value.code == "SYNTHESIS_TEACHER"

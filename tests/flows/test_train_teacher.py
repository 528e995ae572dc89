from __future__ import annotations

import pytest

from data_contracts import GateFinding, GateVerdict, TeacherGateError, TeacherRecipe
from flows.train_teacher import train_teacher
from medkd.registry.recipe_result import RecipeResult
from tests.flows.recording import golden_recipe, recorded


def verdict(holds, enforced=True):
    finding = GateFinding(requirement="min_auc", measured=0.5, bound=0.8, holds=holds)
    return GateVerdict(subject="golden/teacher", findings=(finding,), enforced=enforced)


@pytest.mark.parametrize("judged", [verdict(True), verdict(False, enforced=False)])
def test_a_teacher_is_trained_then_judged_and_handed_on(judged):
    with recorded(teachers="checkpoint", teacher_gate=judged) as engine:
        (result,) = train_teacher("workspace", [RecipeResult(golden_recipe(), "cohorts")])
    assert result.teacher == "checkpoint"
    assert engine.titles() == ["teachers", "teacher gate"]
    assert engine.calls("teacher gate")[0][3:] == ("cohorts", "checkpoint")


def test_an_unfit_teacher_stops_the_run():
    with recorded(teachers="checkpoint", teacher_gate=verdict(False)), pytest.raises(TeacherGateError) as caught:
        train_teacher("workspace", [RecipeResult(golden_recipe(), "cohorts")])
    assert caught.value.code == "TEACHER_REFUSED"


def test_a_registered_teacher_is_brought_and_judged_and_none_is_trained():
    recipe = golden_recipe("other")
    named = recipe.model_copy(update={"teacher": TeacherRecipe.model_validate({"registered": "models:/x/1"})})
    with recorded(teachers="trained", registered_teachers="brought", teacher_gate=verdict(True)) as engine:
        results = train_teacher("workspace", [RecipeResult(named, "cohorts"), RecipeResult(golden_recipe(), "cohorts")])
    assert [result.teacher for result in results] == ["brought", "trained"]
    assert engine.calls("registered teachers") == [("workspace", named)]
    assert [call[1].recipe for call in engine.calls("teachers")] == ["golden"]
    assert [call[4] for call in engine.calls("teacher gate")] == ["brought", "trained"]

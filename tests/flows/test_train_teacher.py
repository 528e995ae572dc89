from __future__ import annotations

import pytest

from data_contracts import GateFinding, GateVerdict, TeacherGateError
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

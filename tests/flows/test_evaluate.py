from __future__ import annotations

from types import SimpleNamespace

from flows.evaluate import evaluate
from medkd.registry.recipe_result import RecipeResult
from tests.flows.recording import golden_recipe, recorded


def model(arm, seed=0):
    role = "teacher" if arm == "teacher" else "student"
    return SimpleNamespace(arm=arm, seed=seed, role=role, weights_digest=f"{arm}-{seed}", subject=f"r/{arm}", teacher_digest=None)


def test_models_are_evaluated_then_arms_summarised_then_compared():
    students = tuple(model(arm, seed) for arm in ("alone", "kd") for seed in (0, 1))
    result = RecipeResult(golden_recipe("r"), SimpleNamespace(uses={}), teacher=model("teacher"), students=students)
    with recorded(
        evaluate=lambda *call: call[3],
        results=lambda *call: call[4],
        losses=lambda *call: f"{call[2].weights_digest} against {call[1].weights_digest}",
        scorecards=lambda *call: f"card of {call[3][0].arm}",
        compare=lambda *call: f"{call[2][0].arm}-{call[3][0].arm}",
    ) as engine:
        (done,) = evaluate("workspace", [result])
    assert done.scorecards == ("card of teacher", "card of alone", "card of kd")
    assert done.comparisons == ("kd-alone",)
    assert done.students == students
    assert done.loss_statements == tuple(f"{one.weights_digest} against teacher-0" for one in students)
    assert engine.titles() == ["evaluate", "results", "scorecards", "compare", "calibrate", "training cases", "losses"]
    assert engine.groups[0][3] == ["r teacher-0", "r alone-0", "r alone-1", "r kd-0", "r kd-1"]
    assert [len(call[3]) for call in engine.calls("scorecards")] == [1, 2, 2]

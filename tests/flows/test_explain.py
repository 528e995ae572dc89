from __future__ import annotations

from types import SimpleNamespace

from flows.explain import explain
from medkd.registry.recipe_result import RecipeResult
from tests.flows.recording import golden_recipe, recorded


def test_the_first_student_of_every_arm_is_explained_beside_its_teacher():
    students = tuple(SimpleNamespace(arm=arm, seed=seed) for arm in ("alone", "kd") for seed in (0, 1))
    result = RecipeResult(golden_recipe("r"), "cohorts", teacher="teacher", students=students)
    with recorded(explain=lambda *call: f"bundle of {call[3].arm}-{call[3].seed}") as engine:
        (done,) = explain("workspace", [result])
    assert done.bundles == ("bundle of alone-0", "bundle of kd-0")
    assert engine.groups[0][1] == "explain_cohort"
    assert engine.groups[0][3] == ["r alone-0", "r kd-0"]
    assert {call[4] for call in engine.calls("explain")} == {"teacher"}

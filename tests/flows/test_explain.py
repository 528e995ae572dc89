from __future__ import annotations

from types import SimpleNamespace

from flows.explain import explain
from medkd.registry.recipe_result import RecipeResult
from tests.flows.recording import golden_recipe, recorded


def test_every_student_is_explained_beside_its_teacher_those_of_further_seeds_on_fewer_cases():
    students = tuple(SimpleNamespace(arm=arm, seed=seed) for arm in ("alone", "kd") for seed in (0, 1))
    result = RecipeResult(golden_recipe("r"), "cohorts", teacher="teacher", students=students)
    with recorded(explain=lambda *call: f"bundle of {call[3].arm}-{call[3].seed}") as engine:
        (done,) = explain("workspace", [result])
    assert done.bundles == ("bundle of alone-0", "bundle of alone-1", "bundle of kd-0", "bundle of kd-1")
    assert engine.groups[0][1] == "explain_cohort"
    assert engine.groups[0][3] == ["r alone-0", "r alone-1", "r kd-0", "r kd-1"]
    assert {call[4] for call in engine.calls("explain")} == {"teacher"}
    cases = [call[1].explain.cases for call in engine.calls("explain")]
    assert cases[0] == cases[2] >= cases[1] == cases[3] >= 1

from __future__ import annotations

from types import SimpleNamespace

from flows.register import register, register_knowledge, register_review
from medkd.registry.recipe_result import RecipeResult
from tests.flows.recording import golden_recipe, recorded


def test_each_recipe_goes_to_the_registry_in_a_call_of_its_own():
    results = [RecipeResult(golden_recipe(name), "cohorts") for name in ("a", "b")]
    with recorded(register=("its versions",)) as engine:
        done = register("workspace", results)
    assert [one.registered for one in done] == ["its versions"] * 2
    assert engine.calls("register") == [("workspace", (one,)) for one in results]


def test_knowledge_is_registered_below_its_teacher_where_there_is_any():
    teacher, knowledge = SimpleNamespace(weights_digest="t"), SimpleNamespace(teacher_digest="t")
    registered = SimpleNamespace(models=(SimpleNamespace(weights_digest="s"), teacher))
    results = [
        RecipeResult(golden_recipe("without"), "cohorts", registered=registered),
        RecipeResult(golden_recipe("with"), "cohorts", knowledge=knowledge, registered=registered),
    ]
    with recorded(register_knowledge="knowledge version") as engine:
        assert register_knowledge("workspace", results) == ("knowledge version",)
    assert engine.calls("register knowledge") == [("workspace", "with", teacher, knowledge)]


def test_reports_are_put_beside_the_students_of_the_panel():
    with recorded(register_reports="both students") as engine:
        assert register_review("workspace", "panel", "reports") == "both students"
    assert engine.calls("register reports") == [("workspace", "panel", "reports")]

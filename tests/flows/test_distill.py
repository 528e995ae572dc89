from __future__ import annotations

from flows.distill import distill
from medkd.registry.recipe_result import RecipeResult
from tests.flows.recording import golden_recipe, recorded


def test_every_arm_is_trained_under_every_seed_and_each_recipe_keeps_its_students():
    results = [RecipeResult(golden_recipe(name), "cohorts", teacher=f"teacher of {name}") for name in ("a", "b")]
    with recorded(students=lambda _, spec, *__: f"{spec.recipe} {spec.arm}-{spec.seed}") as engine:
        first, second = distill("workspace", results)
    assert first.students == ("a kd-0", "a kd-1")
    assert second.students == ("b kd-0", "b kd-1")
    ((title, function, calls, names),) = engine.groups
    assert (title, function, names) == ("students", "distill", ["a kd-0", "a kd-1", "b kd-0", "b kd-1"])
    assert calls[0][2:] == ("cohorts", "teacher of a", None)

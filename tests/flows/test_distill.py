from __future__ import annotations

from data_contracts import PretrainingConfig, Ref, StartingWeights
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


def test_arms_that_begin_with_weights_get_those_of_their_seed():
    recipe = golden_recipe()
    arm = recipe.arms["kd"].model_copy(update={"init": "pretrained"})
    student = recipe.student.model_copy(update={"pretraining": PretrainingConfig()})
    result = RecipeResult(recipe.model_copy(update={"arms": {"kd": arm}, "student": student}), "cohorts", teacher="teacher")

    def weights(_, own, seed, *__):
        ref = Ref(store="run", key=f"{own.name}-{seed}", sha256="0" * 64)
        return StartingWeights(source="pretraining", weights=ref, skip_head=True)

    with recorded(starting_weights=weights, students=lambda _, spec, *__: spec.start.weights.key) as engine:
        (found,) = distill("workspace", [result])
    assert found.students == ("golden-0", "golden-1")
    assert engine.titles() == ["starting weights", "students"]

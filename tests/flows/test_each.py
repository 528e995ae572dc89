from __future__ import annotations

from types import SimpleNamespace

from flows.each import of_model, submit_each
from flows.orchestration import task
from tests.flows.recording import recorded


def stage(*_):
    """Stand for a stage."""


def results(**calls):
    return [SimpleNamespace(recipe=SimpleNamespace(name=name), calls=own) for name, own in calls.items()]


def test_calls_of_all_recipes_are_one_group_and_each_recipe_gets_its_own_back():
    given = results(a=[(1,), (2,)], b=[], c=[(3,)])
    with recorded(double=lambda number: 2 * number) as engine:
        found = submit_each(task(stage), given, lambda one: one.calls, title="double")
    assert [(one.recipe.name, own) for one, own in found] == [("a", [2, 4]), ("b", []), ("c", [6])]
    assert engine.groups == [("double", "stage", [(1,), (2,), (3,)], ["a", "a", "c"])]


def test_a_call_about_a_model_says_recipe_arm_and_seed():
    with recorded() as engine:
        submit_each(
            task(stage),
            results(a=[("kd", 1), ("kd", 2)]),
            lambda one: one.calls,
            title="t",
            name_of=lambda one, call: of_model(one, *call),
        )
    assert engine.groups[0][3] == ["a kd-1", "a kd-2"]

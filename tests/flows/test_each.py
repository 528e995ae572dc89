from __future__ import annotations

from types import SimpleNamespace

from flows.each import run_each
from tests.flows.recording import recorded


def stage(*_):
    """Stand for a stage."""


def results(**calls):
    return [SimpleNamespace(recipe=SimpleNamespace(name=name), calls=own) for name, own in calls.items()]


def test_calls_of_all_recipes_are_one_group_and_each_recipe_gets_its_own_back():
    given = results(a=[(1,), (2,)], b=[], c=[(3,)])
    with recorded(double=lambda number: 2 * number) as engine:
        found = run_each(stage, given, lambda one: one.calls, title="double")
    assert [(one.recipe.name, own) for one, own in found] == [("a", [2, 4]), ("b", []), ("c", [6])]
    assert engine.groups == [("double", "stage", [(1,), (2,), (3,)], ["a", "a", "c"])]


def test_a_call_may_have_a_name_of_its_own():
    with recorded() as engine:
        run_each(stage, results(a=[(1,), (2,)]), lambda one: one.calls, title="t", name_of=lambda one, call: f"{one.recipe.name}-{call[0]}")
    assert engine.groups[0][3] == ["a-1", "a-2"]

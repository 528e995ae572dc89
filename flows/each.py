"""One task for every recipe of a run: all calls of all recipes together, so that no worker waits while another recipe has work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flows.orchestration import MedkdTask, submit_all
from medkd.registry.recipe_result import RecipeResult

R = TypeVar("R")
Call = tuple[Any, ...]


def submit_each(
    work: MedkdTask[..., R],
    results: Sequence[RecipeResult],
    calls_of: Callable[[RecipeResult], Sequence[Call]],
    *,
    title: str,
    name_of: Callable[[RecipeResult, Call], str] | None = None,
) -> list[tuple[RecipeResult, list[R]]]:
    """Run a task for every call of every recipe.

    Args:
        work: the task.
        results: what the recipes left so far.
        calls_of: the arguments of each call of one recipe.
        title: what a person reads of the group while it runs.
        name_of: of a call, for logs and Prefect's task runs; by default the recipe's name.

    Returns:
        Each recipe with what its calls returned, in their order.
    """
    calls = [list(calls_of(result)) for result in results]
    names = [
        result.recipe.name if name_of is None else name_of(result, call) for result, own in zip(results, calls, strict=True) for call in own
    ]
    # In the order of the calls, so that each recipe takes as many as it gave.
    returned = iter(submit_all(work, [call for own in calls for call in own], title=title, names=names))
    return [(result, [next(returned) for _ in own]) for result, own in zip(results, calls, strict=True)]


def of_model(result: RecipeResult, arm: str, seed: int) -> str:
    """Return the name of a call about the model of an arm and a seed."""
    return f"{result.recipe.name} {arm}-{seed}"

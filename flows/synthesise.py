"""Step: pictures that no patient has, made from the teacher for the arms that see no case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flows.each import submit_each
from flows.orchestration import task
from medkd.recipe_calls.training_calls import synthesis_calls
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.synthesis.synthesise_cohorts import synthesise_cohorts

make_pictures = task(synthesise_cohorts, name="synthesise")


def with_pictures(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Return each result with the pictures that its arms ask for among its cohorts; as it is where all arms see cases."""
    asking = [one for one in results if synthesis_calls(workspace, one)]
    made = submit_each(make_pictures, asking, partial(synthesis_calls, workspace), title="synthesised cases") if asking else ()
    cohorts = {result.recipe.name: own for result, (own,) in made}
    return tuple(replace(one, cohorts=cohorts.get(one.recipe.name, one.cohorts)) for one in results)

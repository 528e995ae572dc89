"""A registered model beside its teacher, where no map says what it is like: layers, feature visualisations, the smallest change that flips an answer."""

from __future__ import annotations

from data_contracts import Inspection, Recipe
from flows.orchestration import flow, submit_all, task
from flows.prepare import prepare
from medkd.explanation.of_registry import inspect_on_cohort
from medkd.storage.workspace import Workspace

inspect_registered = task(inspect_on_cohort)


@flow
def inspect_model(workspace: Workspace, recipe: Recipe, model_uri: str, registry_uri: str) -> Inspection:
    """Return what was found, which lies beside the model version."""
    (prepared,) = prepare(workspace, (recipe,))
    return submit_all(inspect_registered, [(workspace, recipe.explanation(), prepared.cohorts, model_uri, registry_uri)], title="inspect")[
        0
    ]

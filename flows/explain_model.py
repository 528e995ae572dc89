"""A registered model on the test cases of a recipe's data: every explainer, every measure, intervals over patients."""

from __future__ import annotations

from data_contracts import ExplanationBundle, Recipe
from flows.orchestration import flow, submit_all, task
from flows.prepare import prepare
from medkd.explanation.of_registry import explain_on_cohort
from medkd.storage.workspace import Workspace

explain_registered_model = task(explain_on_cohort)


@flow
def explain_model(workspace: Workspace, recipe: Recipe, model_uri: str, registry_uri: str) -> ExplanationBundle:
    """Return the bundle, which lies beside the model version."""
    (prepared,) = prepare(workspace, (recipe,))
    return submit_all(
        explain_registered_model, [(workspace, recipe.explanation(), prepared.cohorts, model_uri, registry_uri)], title="explain"
    )[0]

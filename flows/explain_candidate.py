"""The candidates of recipes, explained on their test cases, so that whoever decides about them finds the maps beside the version."""

from __future__ import annotations

from collections.abc import Sequence

from data_contracts import ExplanationBundle, ModelRef, Recipe, Role
from flows.explain_model import explain_model
from flows.orchestration import flow
from flows.work import log_to_run
from medkd.registry.interface import Registry
from medkd.registry.publish import open_registry
from medkd.storage.workspace import Workspace

CANDIDATE = "candidate"


@flow
def explain_candidates(workspace: Workspace, recipes: Sequence[Recipe]) -> tuple[ExplanationBundle, ...]:
    """Explain the candidate of every model of the recipes; what was explained already is taken from there."""
    done: list[ExplanationBundle] = []
    registry = open_registry(workspace)
    for recipe in recipes:
        for model in candidates_of(registry, recipe):
            done.append(explain_model(workspace, recipe, model.uri, workspace.tracking_uri))
            log_to_run("explained %s", model.uri)
    return tuple(done)


def candidates_of(registry: Registry, recipe: Recipe) -> list[ModelRef]:
    """Return the versions that the alias ``candidate`` stands at, among the students of a recipe."""
    found = []
    for name in registry.names():
        version = registry.aliases(name).get(CANDIDATE) if name.startswith(f"{recipe.name}-") else None
        found += [one for one in registry.versions(name) if one.version == version and one.role is Role.STUDENT]
    return found

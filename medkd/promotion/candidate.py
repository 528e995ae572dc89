"""The candidate that a finished run proposes; a run can never set the champion."""

from __future__ import annotations

from data_contracts import ModelRef
from medkd.promotion.promote import move_candidate
from medkd.registry.interface import Registry
from medkd.registry.publish import open_registry
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace


def propose_candidate(workspace: Workspace, result: RecipeResult) -> ModelRef:
    """Set the candidate in the registry of a workspace (:func:`set_candidate`)."""
    return set_candidate(open_registry(workspace), result)


def set_candidate(registry: Registry, result: RecipeResult) -> ModelRef:
    """Let ``candidate`` stand at the best student of a recipe (:data:`medkd.registry.recipe_result.RANKING`) and return its version.

    Raises:
        RegistryError: ``REVIEW_BEFORE_REGISTRATION`` when nothing was registered.
    """
    best = result.best_student()
    model = next(one for one in result.require_registered().models if one.weights_digest == best.weights_digest)
    move_candidate(registry, model)
    return model

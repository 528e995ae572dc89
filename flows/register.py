"""Step: models, explanations and reports go to the MLflow registry with their lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from data_contracts import ModelRef, Registered, ReportSet, ReviewPanel
from flows.each import run_each
from flows.engine import run_all
from medkd.promotion.candidate import propose_candidate
from medkd.registry.publish import register_everything
from medkd.registry.publish_knowledge import publish_knowledge
from medkd.registry.recipe_result import RecipeResult
from medkd.review.write_report import register_reports
from medkd.storage.workspace import Workspace


def register(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Register the models of each recipe, teacher first, each explanation bundle beside its student: one call, one connection."""
    (registered,) = run_all(register_everything, [(workspace, tuple(results))], title="register")
    return tuple(replace(result, registered=own) for result, own in zip(results, registered, strict=True))


def register_knowledge(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[ModelRef, ...]:
    """Register what was extracted of each teacher as a version of its own, below the teacher it is of."""
    # Most recipes have no arm that reads a store.
    known = [result for result in results if result.knowledge is not None]
    done = run_each(
        publish_knowledge,
        known,
        lambda one: [(workspace, one.recipe.name, one.require_registered().models[0], one.knowledge)],
        title="register knowledge",
    )
    return tuple(model for _, (model,) in done)


def register_candidates(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[ModelRef, ...]:
    """Let ``candidate`` stand at the best student of each recipe."""
    return tuple(model for _, (model,) in run_each(propose_candidate, results, lambda one: [(workspace, one)], title="candidates"))


def register_review(workspace: Workspace, panel: ReviewPanel, reports: ReportSet) -> Registered:
    """Put reports and explanations beside the students they are made with."""
    return run_all(register_reports, [(workspace, panel, reports)], title="register reports")[0]

"""Step: models, explanations and reports go to the MLflow registry with their lineage."""

from __future__ import annotations

from data_contracts import (
    Checkpoint,
    CohortSet,
    ExplanationBundle,
    KnowledgeRef,
    ModelRef,
    Recipe,
    Registered,
    ReportSet,
    ReviewPanel,
    Scorecard,
)
from flows.engine import run_all
from medkd.registry.publish import register_everything
from medkd.registry.publish_knowledge import publish_knowledge
from medkd.review.write_report import register_reports
from medkd.storage.workspace import Workspace


def register(
    workspace: Workspace,
    recipes: tuple[Recipe, ...],
    cohorts: tuple[CohortSet, ...],
    models: tuple[tuple[Checkpoint, ...], ...],
    scorecards: tuple[tuple[Scorecard, ...], ...],
    bundles: tuple[tuple[ExplanationBundle, ...], ...],
) -> tuple[Registered, ...]:
    """Register the models of each recipe, teacher first, each explanation bundle beside its student."""
    grouped = tuple(zip(recipes, cohorts, models, scorecards, bundles, strict=True))
    return tuple(run_all(register_everything, [(workspace, grouped)], title="register")[0])


def register_knowledge(
    workspace: Workspace, recipes: tuple[Recipe, ...], registered: tuple[Registered, ...], knowledge: tuple[KnowledgeRef | None, ...]
) -> tuple[ModelRef, ...]:
    """Register what was extracted of each teacher as a version of its own, below the teacher it is of."""
    calls = [
        (workspace, recipe, own.models[0], told)
        for recipe, own, told in zip(recipes, registered, knowledge, strict=True)
        if told is not None
    ]
    return tuple(run_all(publish_knowledge, calls, title="register knowledge"))


def register_review(workspace: Workspace, panel: ReviewPanel, reports: ReportSet) -> Registered:
    """Put reports and explanations beside the students they are made with."""
    return run_all(register_reports, [(workspace, panel, reports)], title="register reports")[0]

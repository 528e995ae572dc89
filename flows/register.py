"""Step: models, explanations and reports go to the MLflow registry with their lineage."""

from __future__ import annotations

from data_contracts import Checkpoint, CohortSet, ExplanationBundle, Recipe, Registered, ReportSet, ReviewPanel, Scorecard
from flows.engine import run_all
from medkd.registry.publish import register_everything, register_reports
from medkd.workspace import Workspace


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


def register_review(workspace: Workspace, panel: ReviewPanel, reports: ReportSet) -> Registered:
    """Put the reports beside the student they are made with."""
    return run_all(register_reports, [(workspace, panel, reports)], title="register reports")[0]

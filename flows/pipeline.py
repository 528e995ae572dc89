"""The parent flow: from recipes (and a folder of DICOM) to registered, explained, reported students."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_contracts import (
    IngestPolicy,
    IngestReport,
    Part,
    Recipe,
    ReportSet,
)
from flows.distill import distill
from flows.evaluate import evaluate
from flows.explain import explain
from flows.extract_knowledge import extract_knowledge
from flows.ingest import ingest
from flows.orchestration import expect, flow
from flows.plan import expected_seconds
from flows.prepare import prepare
from flows.register import register, register_candidates, register_knowledge, register_review
from flows.report import report
from flows.train_teacher import train_teacher
from medkd.cohorts.curate import curate_store, volumes_of
from medkd.dicom.ingest import IngestRequest
from medkd.dicom.ingest_cache import read_manifest
from medkd.registry.recipe_result import RecipeResult
from medkd.registry.ship_metrics import shipping
from medkd.review.choose_panel import choose_panel
from medkd.storage.sealed import write_sealed
from medkd.storage.shared_results import publish_store
from medkd.storage.workspace import Workspace

STORE = "studies"


@dataclass(frozen=True)
class PipelineResult:
    """What the recipes left and, where studies were given, what was ingested and reported."""

    recipes: tuple[RecipeResult, ...]
    ingested: IngestReport | None = None
    reports: ReportSet | None = None


@flow
def pipeline(
    workspace: Workspace,
    recipes: tuple[Recipe, ...],
    studies: Path | None = None,
    policy: IngestPolicy | None = None,
    *,
    candidate: bool = False,
) -> PipelineResult:
    """Ingest studies, take the recipes from data to registered models, and report the test patients' studies.

    With ``candidate`` that alias stands at the best student of each recipe in the end; the champion is a person's to set.
    """
    # Before anything runs: the bar is over all that is to come.
    expect(expected_seconds(recipes, reports=studies is not None))
    ingested = None
    if studies is not None:
        ingested = ingest(IngestRequest(studies, workspace.root / STORE, policy or IngestPolicy(), progress=workspace.progress))
    results = learn(workspace, recipes)
    if candidate:
        register_candidates(workspace, results)
    reports = None if ingested is None else review(workspace, results)
    return PipelineResult(results, ingested, reports)


@flow
def learn(
    workspace: Workspace, recipes: tuple[Recipe, ...], *, until: Literal["evaluate", "explain", "register"] = "register"
) -> tuple[RecipeResult, ...]:
    """Take recipes from data to registered models, or as far as ``until``; what is going to be registered is tracked while it trains."""
    with shipping(workspace, recipes if until == "register" else ()) as metrics:
        results = train_teacher(workspace, prepare(workspace, recipes))
        results = distill(workspace, extract_knowledge(workspace, results))
        metrics.finish()
        results = evaluate(workspace, results)
        if until == "evaluate":
            return results
        results = explain(workspace, results)
        if until == "explain":
            return results
        metrics.drain()  # before the models: what was not sent by now is logged with them
        results = register(workspace, results)
    # After the models: knowledge is registered below the version of its teacher.
    register_knowledge(workspace, results)
    return results


@flow
def review(workspace: Workspace, results: tuple[RecipeResult, ...]) -> ReportSet:
    """Report the test patients' studies with the best student of each task, and register the reports beside it."""
    manifest, studies = read_manifest(workspace.root / STORE), workspace.store_at(STORE)
    publish_store(studies, manifest)
    cohort = curate_store(manifest, studies, name=STORE)
    write_sealed(cohort, workspace.root / "cohort.json")
    panel = choose_panel(results)
    # Sealed: `medkd report-store` asks these models later, and must notice where the file was changed.
    write_sealed(panel, workspace.root / "panel.json")
    reports = report(workspace, volumes_of(manifest, cohort, Part.TEST), STORE, panel)
    register_review(workspace, panel, reports)
    return reports

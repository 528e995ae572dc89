"""The parent flow: from recipes (and a folder of DICOM) to registered, explained, reported students."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from data_contracts import (
    Checkpoint,
    CohortSet,
    ExplanationBundle,
    IngestPolicy,
    IngestReport,
    Part,
    Recipe,
    Registered,
    RegistryError,
    ReportSet,
)
from flows.distill import distill
from flows.engine import expect, orchestrated
from flows.evaluate import Judged, evaluate
from flows.explain import explain
from flows.extract_knowledge import extract_knowledge
from flows.ingest import ingest
from flows.plan import expected_seconds
from flows.prepare import prepare
from flows.register import register, register_knowledge, register_review
from flows.report import report
from flows.train_teacher import train_teacher
from medkd.dicom.ingest import IngestRequest
from medkd.dicom.memory import read_manifest
from medkd.review.choose_panel import Candidates, choose_panel
from medkd.sealed import write_sealed
from medkd.volumes.curate import curate_store, volumes_of
from medkd.volumes.store import Store
from medkd.workspace import Workspace

STORE = "studies"


@dataclass(frozen=True)
class Outcome:
    """Everything one recipe left: records only, filled as far as the run went."""

    recipe: Recipe
    cohorts: CohortSet
    models: tuple[Checkpoint, ...]
    judged: Judged | None = None
    bundles: tuple[ExplanationBundle, ...] = ()
    registered: Registered | None = None


@dataclass(frozen=True)
class PipelineResult:
    """Outcomes of the recipes and, where studies were given, what was ingested and reported."""

    outcomes: tuple[Outcome, ...]
    ingested: IngestReport | None = None
    reports: ReportSet | None = None


@orchestrated
def pipeline(
    workspace: Workspace, recipes: tuple[Recipe, ...], studies: Path | None = None, policy: IngestPolicy | None = None
) -> PipelineResult:
    """Ingest studies, take the recipes from data to registered models, and report the test patients' studies."""
    expect(expected_seconds(recipes, reports=studies is not None))
    ingested = None
    if studies is not None:
        ingested = ingest(IngestRequest(studies, workspace.root / STORE, policy or IngestPolicy(), progress=workspace.progress))
    outcomes = learn(workspace, recipes)
    reports = None if ingested is None else review(workspace, outcomes)
    return PipelineResult(outcomes, ingested, reports)


@orchestrated
def learn(
    workspace: Workspace, recipes: tuple[Recipe, ...], *, until: Literal["evaluate", "explain", "register"] = "register"
) -> tuple[Outcome, ...]:
    """Take recipes from data to registered models, or as far as ``until``."""
    cohorts = prepare(workspace, recipes)
    teachers = train_teacher(workspace, recipes, cohorts)
    knowledge = extract_knowledge(workspace, recipes, cohorts, teachers)
    students = distill(workspace, recipes, cohorts, teachers, knowledge)
    models = tuple((teacher, *own) for teacher, own in zip(teachers, students, strict=True))
    judged = evaluate(workspace, recipes, cohorts, models)
    done = tuple(Outcome(r, c, m, j) for r, c, m, j in zip(recipes, cohorts, models, judged, strict=True))
    if until == "evaluate":
        return done
    bundles = explain(workspace, recipes, cohorts, models)
    done = tuple(replace(outcome, bundles=own) for outcome, own in zip(done, bundles, strict=True))
    if until == "explain":
        return done
    registered = register(workspace, recipes, cohorts, models, tuple(j.scorecards for j in judged), bundles)
    register_knowledge(workspace, recipes, registered, knowledge)
    return tuple(replace(outcome, registered=own) for outcome, own in zip(done, registered, strict=True))


@orchestrated
def review(workspace: Workspace, outcomes: tuple[Outcome, ...]) -> ReportSet:
    """Report the test patients' studies with the best student of each task, and register the reports beside it."""
    manifest = read_manifest(workspace.root / STORE)
    cohort = curate_store(manifest, Store(workspace.root / STORE), name=STORE)
    write_sealed(cohort, workspace.root / "cohort.json")
    panel = choose_panel(tuple(_candidates(outcome) for outcome in outcomes))
    write_sealed(panel, workspace.root / "panel.json")
    reports = report(workspace, volumes_of(manifest, cohort, Part.TEST), STORE, panel)
    register_review(workspace, panel, reports)
    return reports


def _candidates(outcome: Outcome) -> Candidates:
    if outcome.judged is None or outcome.registered is None:
        raise RegistryError(
            "REVIEW_BEFORE_REGISTRATION", f"expected registered models of {outcome.recipe.name} before a review, there are none"
        )
    return Candidates(outcome.models, outcome.registered, outcome.judged.scorecards, outcome.bundles)

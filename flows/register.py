"""Step: models, explanations and reports go to the MLflow registry with their lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from data_contracts import ModelRef, Registered, ReportSet, ReviewPanel
from flows.each import Call, submit_each
from flows.orchestration import submit_all, task
from flows.prefect_artifacts import show_registered
from medkd.promotion.candidate import propose_candidate
from medkd.registry.publish import register_everything
from medkd.registry.publish_knowledge import publish_knowledge
from medkd.registry.recipe_result import RecipeResult
from medkd.review.write_report import register_reports
from medkd.storage.workspace import Workspace

register_models = task(register_everything, name="register")
register_knowledge_of = task(publish_knowledge, name="register-knowledge")
propose = task(propose_candidate)
register_reports_of = task(register_reports)


def register(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Register the models of each recipe, teacher first, each explanation bundle beside its student; recipes at the same time where there is room."""
    registered = submit_each(register_models, results, lambda one: [(workspace, (one,))], title="register")
    done = tuple(replace(result, registered=own) for result, ((own,),) in registered)
    show_registered(workspace, done)
    return done


def register_knowledge(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[ModelRef, ...]:
    """Register what was extracted of each teacher as a version of its own, below the teacher it is of."""
    # Most recipes have no arm that reads a store.
    known = [result for result in results if result.knowledge is not None or result.further_knowledge]
    done = submit_each(register_knowledge_of, known, partial(_knowledge_calls, workspace), title="register knowledge")
    return tuple(model for _, models in done for model in models)


def _knowledge_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the calls that register what each teacher of a recipe stored, the first's first."""
    models = {model.weights_digest: model for model in result.require_registered().models}
    records = [one for one in (result.knowledge, *result.further_knowledge) if one is not None]
    return [(workspace, result.recipe.name, models[one.teacher_digest], one) for one in records]


def register_candidates(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[ModelRef, ...]:
    """Let ``candidate`` stand at the best student of each recipe."""
    return tuple(model for _, (model,) in submit_each(propose, results, lambda one: [(workspace, one)], title="candidates"))


def register_review(workspace: Workspace, panel: ReviewPanel, reports: ReportSet) -> Registered:
    """Put reports and explanations beside the students they are made with."""
    return submit_all(register_reports_of, [(workspace, panel, reports)], title="register reports")[0]

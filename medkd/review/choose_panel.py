"""Which models a report is made with: per task the best student arm by its measured figure, and its teacher."""

from __future__ import annotations

from collections.abc import Collection

from data_contracts import (
    Checkpoint,
    RegistryError,
    ReportModel,
    ReviewPanel,
    TaskKind,
)
from medkd.registry.recipe_result import RecipeResult
from medkd.review.compose_report import CLASS_EXPLAINERS, LESION_EXPLAINERS


def choose_panel(results: tuple[RecipeResult, ...]) -> ReviewPanel:
    """Return the panel of a classification and a segmentation recipe.

    Raises:
        RegistryError: ``PANEL_INCOMPLETE`` when one of the two tasks is missing.
    """
    by_task = {own.recipe.task.kind: own for own in results}
    missing = [kind.value for kind in TaskKind if kind not in by_task]
    if missing:
        raise RegistryError("PANEL_INCOMPLETE", f"expected a recipe for each task of a report, none is for {missing[0]}")
    classify, segment = by_task[TaskKind.CLASSIFICATION], by_task[TaskKind.SEGMENTATION]
    failed = _failing(classify, CLASS_EXPLAINERS) | _failing(segment, LESION_EXPLAINERS)
    return ReviewPanel(
        segmentation_teacher=segment.require_teacher(),
        segmentation_student=segment.best_student(),
        classification_teacher=classify.require_teacher(),
        classification_student=classify.best_student(),
        models=tuple(_report_model(own, model) for own in (classify, segment) for model in (own.best_student(), own.require_teacher())),
        failed_explainers=tuple(sorted(failed)),
        failed_checks=failed,
    )


def _failing(own: RecipeResult, defaults: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the tests that the asked explainers failed on the student of a report."""
    arm = own.best_student().arm
    bundles = [bundle for bundle in own.bundles if bundle.subject.rpartition("/")[2].rpartition("-")[0] == arm]
    sanity_reports = [
        sanity_report
        for bundle in bundles
        for sanity_report in bundle.sanity_reports
        if not sanity_report.trusted and sanity_report.explainer in defaults
    ]
    return {
        name: tuple(dict.fromkeys(c.name for v in sanity_reports if v.explainer == name for c in v.checks if c.passed is False))
        for name in sorted({sanity_report.explainer for sanity_report in sanity_reports})
    }


def _report_model(own: RecipeResult, checkpoint: Checkpoint) -> ReportModel:
    version = next(model for model in own.require_registered().models if model.weights_digest == checkpoint.weights_digest)
    return ReportModel(
        role=checkpoint.role.value,
        name=version.name,
        version=version.version,
        manifest_digest=version.manifest_digest,
        parameters=checkpoint.parameters,
    )

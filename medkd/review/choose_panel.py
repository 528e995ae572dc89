"""Which models a report is made with: per task the best student arm by its measured figure, and its teacher."""

from __future__ import annotations

from data_contracts import PanelModel, RegistryError, ReviewPanel, TaskKind
from medkd.explanation.defaults import DEFAULT_EXPLAINERS
from medkd.registry.recipe_result import RecipeResult


def choose_panel(results: tuple[RecipeResult, ...]) -> ReviewPanel:
    """Return the panel of a classification and a segmentation recipe.

    Raises:
        RegistryError: ``PANEL_INCOMPLETE`` when one of the two tasks is missing.
    """
    by_task = {own.recipe.task.kind: own for own in results}
    # A report shows what was segmented and what was classified; there is no place for boxes on it.
    missing = [kind.value for kind in (TaskKind.CLASSIFICATION, TaskKind.SEGMENTATION) if kind not in by_task]
    if missing:
        raise RegistryError("PANEL_INCOMPLETE", f"expected a recipe for each task of a report, none is for {missing[0]}")
    return ReviewPanel(
        segmentation=_panel_model(by_task[TaskKind.SEGMENTATION]), classification=_panel_model(by_task[TaskKind.CLASSIFICATION])
    )


def _panel_model(own: RecipeResult) -> PanelModel:
    """Return the best student and its teacher, the task's explainers as the recipe asks them, and what the tests of its cohort's maps gave."""
    student, teacher = own.best_student(), own.require_teacher()
    by_weights = {model.weights_digest: model for model in own.require_registered().models}
    bundles = [bundle for bundle in own.bundles if bundle.weights_digest == student.weights_digest]
    named = {entry.name: entry for entry in own.recipe.explain.explainers}
    asked = tuple(named.get(entry.name, entry) for entry in DEFAULT_EXPLAINERS[own.recipe.task.kind])
    # A verdict is of an explainer as it was asked: with other options its maps are others.
    made = {one.method.explainer: one.method.options for bundle in bundles for one in bundle.explanations}
    tested = [entry.name for entry in asked if made.get(entry.name) == entry.options]
    return PanelModel(
        model=by_weights[student.weights_digest],
        teacher=by_weights[teacher.weights_digest],
        student_checkpoint=student,
        teacher_checkpoint=teacher,
        explainers=asked,
        calibration=next((one for one in own.calibrations if one.weights_digest == student.weights_digest), None),
        training_features=next((one for one in own.training_features if one.weights_digest == student.weights_digest), None),
        structures=own.recipe.card.structures,
        trained_on=own.recipe.card.trained_on,
        sanity_reports=tuple(
            sanity_report for bundle in bundles for sanity_report in bundle.sanity_reports if sanity_report.explainer in tested
        ),
    )

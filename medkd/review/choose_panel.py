"""Which models a report is made with: per task the best student arm by its measured figure, and its teacher."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from data_contracts import (
    Checkpoint,
    ExplanationBundle,
    Registered,
    RegistryError,
    ReportModel,
    ReviewPanel,
    Scorecard,
    TaskKind,
)
from medkd.review.compose_report import CLASS_EXPLAINERS, LESION_EXPLAINERS

#: The figure that ranks the arms: the first of these that the scorecards have.
RANKING = ("auc_debiased", "auc", "dice")


@dataclass(frozen=True)
class Candidates:
    """What a recipe offers: its models (teacher first), their versions, the scorecards of its arms, and explanations."""

    models: tuple[Checkpoint, ...]
    registered: Registered
    scorecards: tuple[Scorecard, ...]
    bundles: tuple[ExplanationBundle, ...]

    @property
    def task(self) -> TaskKind:
        """Return the task of the models."""
        return self.models[0].task.kind

    def student(self) -> Checkpoint:
        """Return the first seed of the student arm with the best figure (measured on other cases than the reported ones)."""
        students = [card for card in self.scorecards if card.role == "student"]
        figure = next(name for name in RANKING if name in students[0].figures)
        best = max(students, key=lambda card: card.figures[figure].mean)
        return next(model for model in self.models if model.weights_digest == best.weights_digests[0])


def choose_panel(candidates: tuple[Candidates, ...]) -> ReviewPanel:
    """Return the panel of a classification and a segmentation recipe.

    Raises:
        RegistryError: ``PANEL_INCOMPLETE`` when one of the two tasks is missing.
    """
    by_task = {own.task: own for own in candidates}
    missing = [kind.value for kind in TaskKind if kind not in by_task]
    if missing:
        raise RegistryError("PANEL_INCOMPLETE", f"expected a recipe for each task of a report, none is for {missing[0]}")
    classify, segment = by_task[TaskKind.CLASSIFICATION], by_task[TaskKind.SEGMENTATION]
    failed = _failing(classify, CLASS_EXPLAINERS) | _failing(segment, LESION_EXPLAINERS)
    return ReviewPanel(
        segmentation_teacher=segment.models[0],
        segmentation_student=segment.student(),
        classification_teacher=classify.models[0],
        classification_student=classify.student(),
        models=tuple(_report_model(own, model) for own in (classify, segment) for model in (own.student(), own.models[0])),
        not_to_be_trusted=tuple(sorted(failed)),
        failed_checks=failed,
    )


def _failing(own: Candidates, asked: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the tests that the asked explainers failed on the student of a report."""
    arm = own.student().arm
    bundles = [bundle for bundle in own.bundles if bundle.subject.rpartition("/")[2].rpartition("-")[0] == arm]
    verdicts = [verdict for bundle in bundles for verdict in bundle.verdicts if not verdict.trusted and verdict.explainer in asked]
    return {
        name: tuple(dict.fromkeys(c.name for v in verdicts if v.explainer == name for c in v.checks if c.passed is False))
        for name in sorted({verdict.explainer for verdict in verdicts})
    }


def _report_model(own: Candidates, checkpoint: Checkpoint) -> ReportModel:
    version = next(model for model in own.registered.models if model.weights_digest == checkpoint.weights_digest)
    return ReportModel(
        role=checkpoint.role.value,
        name=version.name,
        version=version.version,
        manifest_digest=version.manifest_digest,
        parameters=checkpoint.parameters,
    )

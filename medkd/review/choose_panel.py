"""Which models a report is made with: per task the best student arm by its measured figure, and its teacher."""

from __future__ import annotations

from dataclasses import dataclass

from data_contracts import (
    Checkpoint,
    ExplanationBundle,
    PanelModel,
    Registered,
    RegistryError,
    ReviewPanel,
    Scorecard,
    TaskKind,
)
from medkd.explanation.defaults import DEFAULT_EXPLAINERS

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
    return ReviewPanel(
        segmentation=_panel_model(by_task[TaskKind.SEGMENTATION]), classification=_panel_model(by_task[TaskKind.CLASSIFICATION])
    )


def _panel_model(own: Candidates) -> PanelModel:
    """Return the best student and its teacher, with what the tests of its maps of the cohort gave."""
    student, teacher = own.student(), own.models[0]
    by_weights = {model.weights_digest: model for model in own.registered.models}
    bundles = [bundle for bundle in own.bundles if bundle.weights_digest == student.weights_digest]
    # A verdict is of an explainer as it was asked: with other options its maps are others.
    asked = {entry.name: entry.options for entry in DEFAULT_EXPLAINERS[own.task]}
    made = {one.method.explainer: one.method.options for bundle in bundles for one in bundle.explanations}
    tested = [name for name, options in asked.items() if made.get(name) == options]
    return PanelModel(
        model=by_weights[student.weights_digest],
        teacher=by_weights[teacher.weights_digest],
        student_checkpoint=student,
        teacher_checkpoint=teacher,
        verdicts=tuple(verdict for bundle in bundles for verdict in bundle.verdicts if verdict.explainer in tested),
    )

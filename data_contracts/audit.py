"""The shortcut audit of a registered model: what marks on pictures, and settings of the scanner, do to its answers."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from data_contracts.record import Estimate, Finite, FrozenModel, Sha256, VersionedRecord
from data_contracts.scorecard import ReportModel
from data_contracts.task import TaskKind


class ShortcutVerdict(StrEnum):
    """What an audit says of one artefact.

    ``follows``: the answer moves one way by more than the bound, and further than under the control. ``silent``: the interval of the
    effect lies within the bound. ``undetermined``: neither can be said of these cases.
    """

    FOLLOWS = "follows"
    SILENT = "silent"
    UNDETERMINED = "undetermined"


class ArtefactMass(FrozenModel):
    """How much of the class map lies where an artefact is.

    Attributes:
        mass: share of the map's magnitude on the artefact, mean over cases.
        mass_before: share on the same place of the picture without the artefact.
        area: share of the picture that the place takes.
    """

    mass: Estimate
    mass_before: Estimate
    area: Finite = Field(ge=0, le=1)


class ArtefactEffect(FrozenModel):
    """What one artefact does to the answers, case by case against the picture as it is.

    Attributes:
        name: of the artefact.
        kind: ``mark`` (drawn on the picture), ``acquisition`` (a setting of the scanner) or ``removal`` (marks that were found are painted over).
        cases: cases that it was put into, or taken out of.
        n: their patients.
        toward: class that ``effect`` is about (classification); empty where it is Dice.
        effect: mean change of that class's probability, or of Dice.
        magnitude: mean size of the change: total variation of the probabilities, or 1 less the Dice of both answers.
        control: the same under a change of equal energy that means nothing: noise over the image.
        beyond_control: ``magnitude`` less ``control``, paired.
        flips: share of the answers that change (classification), or whose Dice with the earlier answer is below 0.8.
        figure_before: AUC (or Dice) without the artefact.
        figure_after: with it.
        figure_change: their paired difference.
        volume_change: relative change of the segmented volume.
        class_correlation: correlation of the effect with the class.
        mass: where the class map lies; None of acquisitions and removals.
        control_energy: energy of the control's change as a multiple of the artefact's.
        p_value: one-sided, that the effect is no more than the bound, or no more than the control's.
        p_corrected: the same corrected for the number of artefacts (Holm).
        verdict: what is said of it.
        reason: one sentence with the figures.
    """

    name: str
    kind: Literal["mark", "acquisition", "removal"]
    cases: int = Field(ge=1)
    n: int = Field(ge=1)
    toward: str = ""
    effect: Estimate
    magnitude: Estimate
    control: Estimate
    beyond_control: Estimate
    flips: Estimate
    figure_before: Estimate | None = None
    figure_after: Estimate | None = None
    figure_change: Estimate | None = None
    volume_change: Estimate | None = None
    class_correlation: Estimate | None = None
    mass: ArtefactMass | None = None
    control_energy: Finite = Field(ge=0)
    p_value: Finite = Field(ge=0, le=1)
    p_corrected: Finite = Field(ge=0, le=1)
    verdict: ShortcutVerdict
    reason: str


class MetadataShortcut(FrozenModel):
    """Whether metadata alone predict the label: a shortcut that the data hold, whatever the model does.

    Attributes:
        columns: what was given to a logistic regression: table columns, sizes, spacings.
        auc: of its predictions for patients that it was not fitted on (one class against the others, mean).
        predicts: whether the interval lies above 0.55.
    """

    columns: tuple[str, ...] = Field(min_length=1)
    auc: Estimate
    predicts: bool


class AuditReport(VersionedRecord):
    """Which artefacts a registered model follows on a labelled folder.

    Attributes:
        model: the version that was asked.
        weights_digest: of its network.
        task: kind of its task.
        folder: name of the folder.
        cohort_digest: of its readable cases.
        n: patients.
        cases: readable cases.
        marked: cases in which the detector found burnt-in marks; None where it was not asked.
        bound: largest change of the answer that counts as none.
        artefacts: one entry per artefact.
        metadata: what metadata predict of the label, each column alone and then all; empty where there are none or no labels.
        limits: what the audit cannot say, a sentence each.
        interval: how intervals were made.
    """

    SCHEMA: ClassVar[str] = "audit_report/1"
    model: ReportModel
    weights_digest: Sha256
    task: TaskKind
    folder: str
    cohort_digest: Sha256
    n: int = Field(ge=1)
    cases: int = Field(ge=1)
    marked: int | None = Field(default=None, ge=0)
    bound: Finite = Field(gt=0, lt=1)
    artefacts: tuple[ArtefactEffect, ...] = Field(min_length=1)
    metadata: tuple[MetadataShortcut, ...] = ()
    limits: tuple[str, ...] = ()
    interval: str = "95 % percentile bootstrap over patients, 1000 resamples, paired; p values by t tests over patients, Holm"

    def with_verdict(self, verdict: ShortcutVerdict) -> tuple[ArtefactEffect, ...]:
        """Return the artefacts of one verdict."""
        return tuple(one for one in self.artefacts if one.verdict is verdict)

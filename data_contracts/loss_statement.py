"""What a student lost against its teacher: every figure paired patient by patient, the surest and largest loss first."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from data_contracts.record import Estimate, Finite, FrozenModel, Key, Ref, Sha256, VersionedRecord


class LossAxis(StrEnum):
    """In what a student may fall behind its teacher."""

    CASES = "cases"
    SMALL_LESIONS = "small_lesions"
    SUBGROUP = "subgroup"
    CALIBRATION = "calibration"
    SHIFTED_DATA = "shifted_data"
    AGREEMENT_OF_REASONS = "agreement_of_reasons"
    CERTAINTY = "certainty"


class LossItem(FrozenModel):
    """One figure of teacher and student on the same cases.

    Attributes:
        axis: what kind of loss it is.
        key: name that stays the same between versions, for example ``subgroup/device=b``.
        what: the figure in words.
        higher_is_better: false of errors.
        teacher: the teacher's figure.
        student: the student's.
        loss: how much worse the student is (positive: worse, whichever way the figure goes), with its own 95 % interval over patients; ``n``
            patients, ``missing`` cases for which neither has a value.
        simultaneous_low: lower bound of the loss; those of all figures of the statement hold together with 95 % (one-sided).
        simultaneous_high: upper bound, alike.
        sure: true where the simultaneous bound nearer to zero leaves it out: of a loss the lower, of a gain the upper one.
        severity: the bound of the 95 % interval that is nearer to zero (of a gain, its size) as a share of what the teacher has: its figure or,
            of an error, the distance of its figure from 1. Negative where that interval holds zero.
        rank: place in its list, from 1: sure items first, then by severity.
    """

    axis: LossAxis
    key: str
    what: str
    higher_is_better: bool
    teacher: Finite
    student: Finite
    loss: Estimate
    simultaneous_low: Finite
    simultaneous_high: Finite
    sure: bool
    severity: Finite
    rank: int = Field(ge=1)


class NotMeasured(FrozenModel):
    """A figure that the statement lacks.

    Attributes:
        axis: what kind of loss it would tell of.
        what: the figure in words.
        reason: why it is not there.
    """

    axis: LossAxis
    what: str
    reason: str


class ChangedCase(FrozenModel):
    """A case that one of the two answers right and the other wrong.

    Attributes:
        case_key: pseudonym of the case.
        patient_key: of whose it is.
        teacher: probability that the teacher gives to the true class, or its Dice.
        student: the same of the student.
    """

    case_key: Key
    patient_key: Key
    teacher: Finite
    student: Finite


class AnswerChanges(FrozenModel):
    """How many cases teacher and student answer right.

    Attributes:
        right_is: what counts as right.
        both: cases that both answer right.
        neither: cases that neither answers right.
        lost: cases that the teacher alone answers right.
        lost_patients: patients of these.
        gained: cases that the student alone answers right.
        gained_patients: patients of these.
        worst_lost: of the lost cases those with the largest fall, at most 20.
        best_gained: of the gained cases those with the largest rise, at most 20.
    """

    right_is: str
    both: int = Field(ge=0)
    neither: int = Field(ge=0)
    lost: int = Field(ge=0)
    lost_patients: int = Field(ge=0)
    gained: int = Field(ge=0)
    gained_patients: int = Field(ge=0)
    worst_lost: tuple[ChangedCase, ...] = Field(default=(), max_length=20)
    best_gained: tuple[ChangedCase, ...] = Field(default=(), max_length=20)


class LossStatement(VersionedRecord):
    """Distillation loss statement (arXiv 2604.25110) of one student: what it lost, gained and kept of its teacher on the tests of its recipe.

    It is of this pair of networks: that another training might do otherwise is not in the intervals.

    Attributes:
        subject: ``RECIPE/ARM`` of the student.
        seed: of its training.
        weights_digest: of the student.
        teacher_digest: of its teacher's weights.
        kind: what both do.
        losses: figures in which the student is worse: sure ones first, then by severity.
        gains: figures in which it is better, in the same order.
        unchanged: figures in which both are equal.
        not_measured: what could not be compared, and why.
        answers: cases that one of the two answers right; absent where right answers are not defined.
        figures: how many figures were looked at: the simultaneous bounds are corrected for so many.
        rule: how items are ranked, in words.
        picture: the losses as intervals; absent where nothing was measured.
    """

    SCHEMA: ClassVar[str] = "loss_statement/1"
    subject: str
    seed: int
    weights_digest: Sha256
    teacher_digest: Sha256
    kind: Literal["classification", "segmentation"]
    losses: tuple[LossItem, ...] = ()
    gains: tuple[LossItem, ...] = ()
    unchanged: tuple[LossItem, ...] = ()
    not_measured: tuple[NotMeasured, ...] = ()
    answers: AnswerChanges | None = None
    figures: int = Field(ge=0)
    rule: str
    picture: Ref | None = None

    @property
    def sure_losses(self) -> tuple[LossItem, ...]:
        """Return the losses that are sure."""
        return tuple(item for item in self.losses if item.sure)

    def worst(self) -> dict[LossAxis, LossItem]:
        """Return of each axis the item that says most against the student: its first loss, else what is equal, else its smallest gain."""
        ordered = (*self.losses, *self.unchanged, *reversed(self.gains))
        return {
            axis: next(item for item in ordered if item.axis is axis) for axis in LossAxis if any(item.axis is axis for item in ordered)
        }

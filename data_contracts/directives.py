"""Directives: what the next student is told of the feedback on the last one, study by study, and how it was judged afterwards."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from data_contracts.feedback import VoxelMask
from data_contracts.model import GateVerdict
from data_contracts.record import Estimate, Finite, FrozenModel, Key, Sha256, VersionedRecord
from data_contracts.scorecard import Scorecard

Share = Annotated[Finite, Field(ge=0, le=1)]
#: Where a study's feedback is used: to train the next student, or to judge it.
FeedbackPart = Literal["train", "eval"]
#: Why feedback, or a part of it, teaches nothing.
IgnoredFeedback = Literal[
    "control",
    "superseded",
    "unsure",
    "conflict",
    "failed_explainer",
    "no_report",
    "no_contour",
    "other_grid",
    "other_finding",
]


class DirectedRegion(FrozenModel):
    """Voxels where attribution belongs, or where it does not.

    Attributes:
        meaning: ``allowed`` forbids everything outside of the allowed regions of the study; a ``forbidden`` voxel is so within them too.
        voxels: on the study's own grid.
        factor: of the strength: 1 where readers corrected the map, 0.5 where they only rejected it.
    """

    meaning: Literal["allowed", "forbidden"]
    voxels: VoxelMask
    factor: Finite = Field(gt=0, le=1)


class StudyDirective(FrozenModel):
    """What readers said of one series, as training and evaluation follow it.

    Attributes:
        study_key: of the study.
        case_key: of its series, by which cohorts of volumes call the case; frames of a picture are ``KEY.NUMBER`` there.
        patient_key: whose it is.
        part: ``train`` teaches the next student; ``eval`` judges it, and is left out of its training. Of a patient, all studies are of one part.
        prediction_weight: of the case in terms that read labels or the teacher's answers; 0 where readers disagree with the prediction.
        explanation_weight: of the case in terms that copy the teacher's explanations; 0 where readers did not accept the map.
        regions: where attribution belongs and does not.
    """

    study_key: Key
    case_key: Key
    patient_key: Key
    part: FeedbackPart
    prediction_weight: Share = 1.0
    explanation_weight: Share = 1.0
    regions: tuple[DirectedRegion, ...] = ()


class FeedbackDirectives(VersionedRecord):
    """What a feedback log says to the next student.

    Attributes:
        log_head: digest of the log's last entry: the state of the log that this was made from.
        entries: of the log.
        used: digests of the entries of feedback that count, in the order of the log.
        studies: by case key.
        relabel: studies whose labels somebody should look at again: readers disagree with a prediction, or marked what no model did.
        ignored: how much feedback, or how many parts of it, taught nothing, by reason.
        strength: factor of the term that keeps attribution off forbidden voxels.
        influence_cap: largest share of that term in the loss of a batch.
        eval_share: share of the patients whose feedback judges the next student, as it was asked for.
    """

    SCHEMA: ClassVar[str] = "feedback_directives/1"
    log_head: Sha256
    entries: int = Field(ge=1)
    used: tuple[Sha256, ...]
    studies: tuple[StudyDirective, ...]
    relabel: tuple[Key, ...] = ()
    ignored: dict[IgnoredFeedback, int] = Field(default_factory=dict)
    strength: Finite = Field(default=1.0, gt=0)
    influence_cap: Finite = Field(default=0.2, gt=0, lt=1)
    eval_share: Share = 0.25

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        twice = [key for key, count in Counter(one.case_key for one in self.studies).items() if count > 1]
        if twice:
            raise ValueError(f"expected one directive for each case, got {twice[0]} twice")
        parts: dict[str, str] = {}
        for one in self.studies:
            if parts.setdefault(one.patient_key, one.part) != one.part:
                raise ValueError(f"expected all studies of a patient in one part, {one.patient_key} is in both")
        return self

    def of_part(self, part: FeedbackPart) -> tuple[StudyDirective, ...]:
        """Return the studies of one part."""
        return tuple(one for one in self.studies if one.part == part)

    def without_teaching(self) -> FeedbackDirectives:
        """Return the directives of a student that is compared: the same studies are left out of its training, and none teaches."""
        return self.model_copy(update={"studies": self.of_part("eval"), "relabel": ()})


class AttentionValues(VersionedRecord):
    """Where one network's maps of reviewed studies lie, case by case.

    Attributes:
        weights_digest: of the network.
        seed: of it.
        explainer: that made the maps.
        case_keys: of the cohorts of its seed that readers gave feedback on, those that were found.
        patient_keys: of each case.
        parts: of each case.
        inside: share of the attribution inside the labelled region, or inside what readers allowed where there is no label; None where
            nothing is known, or the map is zero.
        outside: share of the attribution on voxels that readers forbade; None where they forbade none.
    """

    SCHEMA: ClassVar[str] = "attention_values/1"
    weights_digest: Sha256
    seed: int
    explainer: str
    case_keys: tuple[Key, ...]
    patient_keys: tuple[Key, ...]
    parts: tuple[FeedbackPart, ...]
    inside: tuple[Share | None, ...]
    outside: tuple[Share | None, ...]


class AttentionFigures(FrozenModel):
    """Where the maps of some studies lie: means over seeds and studies, with intervals over patients.

    Attributes:
        studies: number of them.
        inside: mean of the values of that name in :class:`AttentionValues`; None where none is defined.
        outside: the same.
    """

    studies: int = Field(ge=0)
    inside: Estimate | None = None
    outside: Estimate | None = None


class RedistilledStudent(FrozenModel):
    """One of the students that are compared.

    Attributes:
        weights_digests: of its seeds.
        scorecard: on the recipe's tests.
        attention: where its maps lie, on the studies whose feedback taught (``train``), judged (``eval``), and on all of them.
    """

    weights_digests: tuple[Sha256, ...]
    scorecard: Scorecard
    attention: dict[Literal["train", "eval", "all"], AttentionFigures]


class Redistillation(VersionedRecord):
    """A student that was distilled again with feedback, beside the one before and one of the same budget without.

    Attributes:
        recipe: name of the recipe.
        arm: that was distilled again.
        directives: digest of the directives.
        students: ``before``, as readers saw it; ``control``, trained again without feedback; ``after``, with it.
        differences: ``after`` less the other, by the other's name and then by figure, paired.
        verdict: of the gate; only a student that passed is registered.
    """

    SCHEMA: ClassVar[str] = "redistillation/1"
    recipe: str
    arm: str
    directives: Sha256
    students: dict[Literal["before", "control", "after"], RedistilledStudent]
    differences: dict[Literal["before", "control"], dict[str, Estimate]]
    verdict: GateVerdict

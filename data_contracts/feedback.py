"""Feedback: what readers said of a study, before they saw a model's answer and after. Append-only; nothing is edited, a correction supersedes.

A page, served or a file of its own, fills in a :class:`FeedbackForm`. Who keeps it adds who sent it and writes two entries of the log: the own read,
which stands before anything of a model was shown, and the feedback that refers to it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from data_contracts.record import RETIRED, Finite, FrozenModel, Key, Sha256, VersionedRecord

MOST_COMMENT = 2000
#: Points of a Likert item, from "not at all" to "fully".
Points = Annotated[int, Field(ge=1, le=5)]
#: The four statements that a reader rates of each study.
LikertItem = Literal["understandable", "plausible", "certainty_fits", "useful"]
LIKERT_ITEMS: tuple[LikertItem, ...] = ("understandable", "plausible", "certainty_fits", "useful")
#: Why a finding or its explanation is not accepted.
Reason = Literal[
    "NOT_A_FINDING", "WRONG_CLASS", "WRONG_EXTENT", "MAP_OUTSIDE", "MAP_ON_MARKER", "MAP_ON_ARTEFACT", "MAP_INCOMPLETE", "UNCLEAR", "OTHER"
]
#: When something was written, in UTC, to the second.
UtcTime = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
#: A number that a form has from the page it stands on: the same form sent twice is kept once.
FormId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class VoxelMask(FrozenModel):
    """Voxels that a reader marked, on the grid of the study.

    Attributes:
        shape: slices, rows, columns.
        runs: first voxel and length of each run, voxels being counted slice by slice, row by row, from 0; ascending, and no two touch.
    """

    shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    runs: tuple[tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]], ...] = Field(min_length=1, max_length=200_000)

    @model_validator(mode="after")
    def _within(self) -> Self:
        end, voxels = -1, self.shape[0] * self.shape[1] * self.shape[2]
        for start, length in self.runs:
            if start <= end:
                raise ValueError(f"expected runs that ascend and do not touch, got one that begins at {start} after one that ends at {end}")
            end = start + length
        if end > voxels:
            raise ValueError(f"expected runs within {voxels} voxels, got one that ends at {end}")
        return self


class CorrectedMask(FrozenModel):
    """Where a reader says that a model should look, or should not.

    Attributes:
        meaning: whether attribution belongs there, or does not.
        voxels: that the reader marked.
        source: drawn on the page, or read from a DICOM segmentation.
    """

    meaning: Literal["allowed", "forbidden"]
    voxels: VoxelMask
    source: Literal["drawn", "dicom_seg"] = "drawn"


class FindingVerdict(FrozenModel):
    """A reader's verdict on one finding: the prediction, and apart from it the explanation.

    Attributes:
        finding: its name in the report: ``lesion-1`` (the tracking id), ``answer-1``, ``teacher-1`` (that only the teacher marks).
        prediction: whether the reader finds the same there.
        explanation: whether the map shows what speaks for it; ``corrected`` with at least one mask, ``not_judged`` where it has no map.
        reasons: why not, where either was not accepted.
        masks: corrections of the explanation.
    """

    finding: Annotated[str, Field(pattern=r"^(lesion|answer|teacher)-[1-9][0-9]*$")]
    prediction: Literal["agree", "disagree", "unsure"]
    explanation: Literal["accepted", "rejected", "corrected", "not_judged"]
    reasons: tuple[Reason, ...] = ()
    masks: tuple[CorrectedMask, ...] = ()

    @model_validator(mode="after")
    def _masks_where_corrected(self) -> Self:
        if (self.explanation == "corrected") != bool(self.masks):
            raise ValueError(
                f"expected masks where an explanation is corrected and nowhere else, got {self.explanation} with {len(self.masks)}"
            )
        return self


class OwnReadAnswer(FrozenModel):
    """What a reader finds without a model.

    Attributes:
        answer: one of those that the page offers: ``present``, ``absent``, a class of the model, ``unsure``.
        seconds: from the opening of the page to the answer.
    """

    answer: Annotated[str, Field(min_length=1, max_length=80)]
    seconds: Finite = Field(ge=0)


class _Said(VersionedRecord):
    """What a form and the record of it share."""

    form: FormId
    report: Sha256
    study_key: Key
    decision: Literal["accept", "reject", "correct"]
    verdicts: tuple[FindingVerdict, ...] = ()
    missed: tuple[VoxelMask, ...] = ()
    likert: dict[LikertItem, Points]
    comment: str = Field(default="", max_length=MOST_COMMENT)
    seconds_on_page: Finite = Field(ge=0)
    seconds_with_overlay: Finite = Field(ge=0)
    language: Literal["en", "zh"] = "en"
    page_version: str = Field(max_length=80)
    supersedes: Sha256 | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [one.finding for one in self.verdicts]
        if len(set(names)) != len(names):
            raise ValueError(f"expected one verdict on each finding, got {', '.join(names)}")
        missing = [item for item in LIKERT_ITEMS if item not in self.likert]
        if missing:
            raise ValueError(f"expected an answer in likert to each of {', '.join(LIKERT_ITEMS)}, got none to {', '.join(missing)}")
        return self


class FeedbackForm(_Said):
    """What a page sends, or saves for who cannot send: a reader's judgement of a study, without who that is.

    Attributes:
        form: of the page that it was filled in on; the same one twice is kept once.
        report: digest of the report that was shown.
        study_key: of the study.
        decision: of the study as a whole.
        verdicts: one on each finding of the report.
        missed: what the reader marks and no model does.
        likert: the reader's rating of the explanation.
        comment: free text without anything that identifies a patient.
        seconds_on_page: from the opening of the page to the end.
        seconds_with_overlay: of these, with maps shown.
        language: of the page.
        page_version: version of medkd that made the page.
        supersedes: digest of the entry that this corrects.
        own_read: what was answered before anything of a model was shown.
    """

    SCHEMA: ClassVar[str] = "feedback_form/1"
    own_read: OwnReadAnswer


class OwnRead(VersionedRecord):
    """What a reader answered before anything of a model was shown.

    Attributes:
        report: digest of the report that was shown afterwards.
        study_key: of the study.
        reviewer_key: who read, under a pseudonym.
        round: of reading; reliance is told by rounds.
        read: the answer.
        language: of the page.
    """

    SCHEMA: ClassVar[str] = "own_read/1"
    report: Sha256
    study_key: Key
    reviewer_key: Key
    round: int = Field(default=1, ge=1)
    read: OwnReadAnswer
    language: Literal["en", "zh"] = "en"


class Feedback(_Said):
    """A reader's judgement of a study, signed with the reader's account.

    Attributes:
        form: of the page that it was filled in on.
        report: digest of the report that was shown.
        study_key: of the study.
        decision: of the study as a whole.
        verdicts: one on each finding of the report.
        missed: what the reader marks and no model does.
        likert: the reader's rating of the explanation.
        comment: free text, scanned for identifiers before it was kept.
        seconds_on_page: from the opening of the page to the end.
        seconds_with_overlay: of these, with maps shown.
        language: of the page.
        page_version: version of medkd that made the page.
        supersedes: digest of the entry that this corrects.
        reviewer_key: who judged, under a pseudonym.
        reviewer_role: what the reader's account says, such as ``radiologist``.
        round: of reading.
        own_read: digest of the entry of the reader's own read, which stands before this in the log.
    """

    SCHEMA: ClassVar[str] = "feedback/2"
    reviewer_key: Key
    reviewer_role: str = Field(max_length=80)
    round: int = Field(default=1, ge=1)
    own_read: Sha256


class ScaleAnswers(VersionedRecord):
    """A reader's answers to a published questionnaire at the end of a round.

    Attributes:
        scale: which: the System Causability Scale (Holzinger et al. 2020), ten statements.
        reviewer_key: who answered, under a pseudonym.
        round: of reading.
        answers: in the order of the statements.
        language: in which they were read.
        validated: whether that wording was validated; a translation of ours was not.
    """

    SCHEMA: ClassVar[str] = "scale_answers/1"
    scale: Literal["system_causability"] = "system_causability"
    reviewer_key: Key
    round: int = Field(default=1, ge=1)
    answers: tuple[Points, ...] = Field(min_length=10, max_length=10)
    language: Literal["en", "zh"] = "en"
    validated: bool


class ControlCase(VersionedRecord):
    """That what a reader was shown of a study was wrong on purpose; only administrators see it, and feedback on it teaches nothing.

    Attributes:
        report: digest of the report that was shown.
        genuine: digest of the study's own report.
        study_key: of the study.
        kind: what was wrong: maps of another finding, of another study, or mirrored.
        reviewer_key: who was shown it.
        round: of reading.
    """

    SCHEMA: ClassVar[str] = "control_case/1"
    report: Sha256
    genuine: Sha256
    study_key: Key
    kind: Literal["other_finding", "other_study", "mirrored"]
    reviewer_key: Key
    round: int = Field(default=1, ge=1)


class FeedbackEntry(VersionedRecord):
    """A line of the feedback log. Its digest is what others refer to.

    Attributes:
        index: of the line, from 0.
        at: when it was written.
        previous: digest of the line before, None of the first.
        record: what was said.
    """

    SCHEMA: ClassVar[str] = "feedback_entry/1"
    index: int = Field(ge=0)
    at: UtcTime
    previous: Sha256 | None
    record: OwnRead | Feedback | ScaleAnswers | ControlCase


RETIRED["feedback/1"] = "no version of medkd wrote it; a reader's judgement is feedback/2, a line of the log feedback_entry/1"

"""The review report: everything the page shows is in this record and the arrays of the explanations in it.

Rendering is a pure function of the two: the same report gives the same bytes. What the models found and why is said once, by
:class:`~data_contracts.explanation.StudyExplanation`; a report adds what a reader is told about it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from data_contracts.calibration import Calibration
from data_contracts.card_notes import Structures
from data_contracts.errors import ContractError
from data_contracts.explain_plan import Entry
from data_contracts.explanation import Caveat, RefusedSeries, SanityReport, StudyExplanation
from data_contracts.model import Checkpoint, ModelRef
from data_contracts.record import MIGRATIONS, RETIRED, Finite, FrozenModel, Key, Ref, Sha256, VersionedRecord
from data_contracts.training_features import SimilarCases, TrainingFeatures
from data_contracts.volume import VolumeRef

BANNER = "RESEARCH USE ONLY. Not a medical device. No clinical claim is made."


class LesionChange(FrozenModel):
    """A lesion of one of two studies, or of both where the masks overlap in the patient.

    Attributes:
        explanation: place of the explanation in the report, from 0.
        number: of the lesion now; None where the prior study alone has it.
        prior_number: of it in the prior study; None where the current study alone has it.
        dice: overlap of the two masks, the prior one laid on the current grid by the positions of both; None of what is not matched.
        volume_ml: now.
        prior_volume_ml: in the prior study.
        diameter_mm: now.
        prior_diameter_mm: in the prior study.
    """

    explanation: int = Field(ge=0)
    number: int | None = Field(default=None, ge=1)
    prior_number: int | None = Field(default=None, ge=1)
    dice: Finite | None = Field(default=None, ge=0, le=1)
    volume_ml: Finite | None = None
    prior_volume_ml: Finite | None = None
    diameter_mm: Finite | None = None
    prior_diameter_mm: Finite | None = None

    @property
    def change_ml(self) -> float | None:
        """Return by how much the volume differs from the prior one, ml; None of what is not matched."""
        return None if self.volume_ml is None or self.prior_volume_ml is None else self.volume_ml - self.prior_volume_ml

    @property
    def change_mm(self) -> float | None:
        """Return by how much the longest diameter differs from the prior one, mm; None of what is not matched."""
        return None if self.diameter_mm is None or self.prior_diameter_mm is None else self.diameter_mm - self.prior_diameter_mm


class PriorComparison(FrozenModel):
    """A study beside an earlier one of the same patient. No registration was made: positions are those of the two headers.

    Attributes:
        report: digest of the prior study's report.
        study_key: of the prior study.
        series_key: of the prior series.
        same_frame: whether both headers name the same frame of reference; else positions of the two are those of two sessions.
        same_model: whether both were asked of the same version; else changes are of the model too.
        changes: the lesions of both, those that are matched first.
    """

    report: Sha256
    study_key: Key
    series_key: Key
    same_frame: bool
    same_model: bool
    changes: tuple[LesionChange, ...] = ()


class ReviewReport(VersionedRecord):
    """One study, ready to be reviewed: its explanations by one model, or by the segmenter and the classifier of a panel, in this order.

    ``window`` is the grey scale of the pictures. ``caveats`` are those of the explanations and all that follow from them, worst first.
    ``calibrations`` are those of the asked versions, where they have any. ``prior`` compares with an earlier study, where one was given. ``similar`` are
    the training cases that lie nearest to each finding that has maps, of versions that have features of their training cases. All three are left out of
    the record where there are none.
    """

    SCHEMA: ClassVar[str] = "review/4"
    explanations: tuple[StudyExplanation, ...] = Field(min_length=1)
    window: tuple[Finite, Finite]
    caveats: tuple[Caveat, ...] = ()
    status: Literal["UNVERIFIED"] = "UNVERIFIED"
    calibrations: tuple[Calibration, ...] = Field(default=(), exclude_if=lambda found: not found)
    prior: PriorComparison | None = Field(default=None, exclude_if=lambda found: found is None)
    similar: tuple[SimilarCases, ...] = Field(default=(), exclude_if=lambda found: not found)

    @property
    def volume(self) -> VolumeRef:
        """Return the volume that is reported."""
        return self.explanations[0].volume


MIGRATIONS["review/3"] = lambda earlier: {**earlier, "schema_version": "review/4"}
RETIRED["review/1"] = (
    "its maps were not those of a registered explanation, which review/2 is made of; make the report again (`medkd report`, `medkd run-study`)"
)


class PanelModel(FrozenModel):
    """A registered student and its teacher as they are asked in reports.

    ``sanity_reports`` are those of the student's maps of its recipe's cohort: explainers that have one are not tested again on every study.
    ``explainers`` are asked, by the options that the recipe gives them; none stands for the default ones of the task.
    ``calibration`` is the student's; None where none was fitted. ``structures`` and ``trained_on`` are what its card says. ``training_features`` are
    those of the student's training cases; not written where there are none.
    """

    model: ModelRef
    teacher: ModelRef
    student_checkpoint: Checkpoint
    teacher_checkpoint: Checkpoint
    explainers: tuple[Entry, ...] = ()
    sanity_reports: tuple[SanityReport, ...] = ()
    calibration: Calibration | None = None
    structures: Structures = "lesion"
    trained_on: str = ""
    training_features: TrainingFeatures | None = Field(default=None, exclude_if=lambda found: found is None)


class ReviewPanel(VersionedRecord):
    """The models a report is made with: a segmenter and a classifier."""

    SCHEMA: ClassVar[str] = "review_panel/6"
    segmentation: PanelModel
    classification: PanelModel


def _review_panel_2(earlier: dict[str, Any]) -> dict[str, Any]:
    """Lift a panel of version 1, whose verdicts were names only: explainers are tested on each study instead.

    Its models always were the classifier, its teacher, the segmenter and its teacher.
    """
    if len(earlier["models"]) != 4:
        raise ContractError("CONTRACT_INVALID", f"expected the four models of a panel review_panel/1, got {len(earlier['models'])}")
    found: dict[str, Any] = {"schema_version": "review_panel/2"}
    # Version 1 held four models in this order and did not say which is which.
    for place, task in enumerate(("classification", "segmentation")):
        own = {role: earlier["models"][2 * place + step] for step, role in enumerate(("student", "teacher"))}
        checkpoints = {role: earlier[f"{task}_{role}"] for role in own}
        refs = {role: {name: one[name] for name in ("name", "version", "manifest_digest")} for role, one in own.items()}
        for role, ref in refs.items():
            ref |= {"role": role, "weights_digest": checkpoints[role]["weights_digest"]}
        above = refs["teacher"]
        refs["student"]["teacher"] = f"{above['name']}/{above['version']}@{above['manifest_digest']}"
        found[task] = {
            "model": refs["student"],
            "teacher": above,
            "student_checkpoint": checkpoints["student"],
            "teacher_checkpoint": checkpoints["teacher"],
        }
    return found


MIGRATIONS["review_panel/1"] = _review_panel_2
MIGRATIONS["review_panel/3"] = lambda earlier: {**earlier, "schema_version": "review_panel/4"}
MIGRATIONS["review_panel/4"] = lambda earlier: {**earlier, "schema_version": "review_panel/5"}
MIGRATIONS["review_panel/5"] = lambda earlier: {**earlier, "schema_version": "review_panel/6"}


class ReportSet(VersionedRecord):
    """Written reports: the record, the page and the picture of each study, the records of its explanations, and the series that were refused.

    The arrays of an explanation lie beside its record.
    """

    SCHEMA: ClassVar[str] = "report_set/2"
    reports: tuple[Ref, ...]
    pages: tuple[Ref, ...]
    pictures: tuple[Ref, ...]
    explanations: tuple[Ref, ...]
    refused: tuple[RefusedSeries, ...] = ()


MIGRATIONS["report_set/1"] = lambda earlier: {**earlier, "schema_version": "report_set/2", "explanations": []}

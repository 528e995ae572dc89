"""The review report: everything the page shows is in this record and the arrays it points to.

Rendering is a pure function of the two: the same report gives the same bytes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from data_contracts.explanation import AttributionAgreement, Lesion, MeasureValue
from data_contracts.geometry import Geometry
from data_contracts.model import Checkpoint
from data_contracts.record import Finite, FrozenModel, Key, Ref, Sha256, VersionedRecord

BANNER = "RESEARCH USE ONLY. Not a medical device. No clinical claim is made."


class ReportModel(FrozenModel):
    """A model that took part: registered name, version and digest, and its parameter count."""

    role: Literal["teacher", "student"]
    name: str
    version: int
    manifest_digest: Sha256
    parameters: int


class ReportMap(FrozenModel):
    """An attribution map shown in the report: its tensor in the arrays file, its explainer, its measures.

    ``failed_checks`` names the tests that the explainer failed on this network.
    """

    role: Literal["teacher", "student"]
    explainer: str
    target: str
    tensor: str
    explanation_digest: Sha256
    measures: tuple[MeasureValue, ...] = ()
    fails_randomisation: bool | None = None
    failed_checks: tuple[str, ...] = ()


class OutsideFocus(FrozenModel):
    """The largest attribution outside every lesion: where it is and which share of the absolute attribution lies outside."""

    explainer: str
    slice_index: int = Field(ge=0)
    row: int = Field(ge=0)
    column: int = Field(ge=0)
    position_lps_mm: tuple[Finite, Finite, Finite]
    share_outside: Finite


class Finding(FrozenModel):
    """One lesion with what the models say of it. Probabilities are per class name.

    ``share_in_teacher`` is the share of its voxels that the teacher gives the same class, None without a teacher. Dice is to the
    teacher's (the reference's) components that the lesion touches.
    """

    lesion: Lesion
    student_probability: dict[str, Finite]
    teacher_probability: dict[str, Finite] = Field(default_factory=dict)
    share_in_teacher: Finite | None = Field(default=None, ge=0, le=1)
    dice_to_teacher: Finite | None = None
    dice_to_reference: Finite | None = None
    maps: tuple[ReportMap, ...] = ()
    agreement: dict[str, AttributionAgreement] = Field(default_factory=dict)
    outside: OutsideFocus | None = None


class Caveat(FrozenModel):
    """A computed warning: stable code, a sentence made of quantity, unit and source, and how grave it is (3 worst)."""

    code: str
    text: str
    severity: int = Field(ge=1, le=3)


class ReviewReport(VersionedRecord):
    """One study, ready to be reviewed.

    ``arrays`` names a safetensors file with ``volume`` float32, ``student_mask``, ``teacher_mask`` and (where known)
    ``reference_mask`` uint8, and one float32 tensor per map, all of shape ``geometry.shape``. ``mass`` says which part of the maps
    shares are taken of: the absolute attribution, or the positive one (what speaks for a segmented structure: the background of a
    volume is mostly evidence against it). Findings that the teacher marks too come first; ``teacher_only`` are the components that
    the teacher marks where the student has (nearly) nothing.
    """

    SCHEMA: ClassVar[str] = "review/1"
    patient_key: Key
    study_key: Key
    series_key: Key
    modality: str
    unit: str
    origin: str
    geometry: Geometry
    arrays: Ref
    window: tuple[Finite, Finite]
    models: tuple[ReportModel, ...]
    findings: tuple[Finding, ...]
    teacher_only: tuple[Lesion, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    mass: Literal["absolute", "positive"] = "absolute"
    reference_class: str | None = None
    lineage: dict[str, str] = Field(default_factory=dict)
    seed: int = 0
    status: Literal["UNVERIFIED"] = "UNVERIFIED"


class ReviewPanel(VersionedRecord):
    """The models a report is made with: a segmenter and a classifier, teacher and student each.

    ``failed_checks`` names the tests that an explainer failed on one of the students.
    """

    SCHEMA: ClassVar[str] = "review_panel/1"
    segmentation_teacher: Checkpoint
    segmentation_student: Checkpoint
    classification_teacher: Checkpoint
    classification_student: Checkpoint
    models: tuple[ReportModel, ...]
    failed_explainers: tuple[str, ...] = ()
    failed_checks: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class RefusedSeries(FrozenModel):
    """A series that the models could not be asked about: code and reason of the refusal."""

    series_key: Key
    code: str
    reason: str


class ReportSet(VersionedRecord):
    """Written reports: the record, the page and the picture of each study, and the series that were refused."""

    SCHEMA: ClassVar[str] = "report_set/1"
    reports: tuple[Ref, ...]
    pages: tuple[Ref, ...]
    pictures: tuple[Ref, ...]
    refused: tuple[RefusedSeries, ...] = ()

"""Where a recipe's cases come from: the phantom, a folder of pictures or volumes, DICOM studies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from data_contracts.ingest_policy import IngestPolicy
from data_contracts.record import Finite, FrozenModel
from data_contracts.task import Task


class PhantomData(FrozenModel):
    """Direct phantom cohorts (origin ``phantom-direct``): sizes, and the marker rates per class (benign, malignant).

    ``student_contrast`` bounds the lesion contrast of the students' labelled cases; all other cases span the full range.

    ``student_validation`` cases are drawn as the students' training cases are (same bias): what weights and epochs are chosen on.
    ``cue`` draws a mark beside the lesions of the students' labelled cases (segmentation): the teacher sees it beside lesions,
    elsewhere or not at all, a third each; the tests are ``test`` (beside), ``uncued`` (none) and ``misplaced`` (elsewhere).
    ``mask_share`` of the students' cases have a mask (cases are still labelled). ``teacher_wrong_labels`` of the teacher's training
    cases carry the other class's label, and ``teacher_contrast`` bounds the contrast of its lesions: a wrong and a mismatched teacher.
    """

    kind: Literal["phantom"] = "phantom"
    teacher: int = Field(ge=8)
    teacher_validation: int = Field(default=400, ge=8)
    student: int = Field(ge=8)
    unlabelled: int = Field(default=0, ge=0)
    test: int = Field(default=600, ge=8)
    debiased: int = Field(default=800, ge=8)
    reversed: int = Field(default=600, ge=8)
    marker_pairs: int = Field(default=256, ge=8)
    teacher_marker_rates: tuple[Finite, Finite] = (0.5, 0.5)
    student_marker_rates: tuple[Finite, Finite] = (0.05, 0.95)
    student_contrast: tuple[Finite, Finite] = (0.15, 0.45)
    student_validation: int = Field(default=0, ge=0)
    cue: Literal["none", "ring", "caliper"] = "none"
    mask_share: Finite = Field(default=1.0, ge=0, le=1)
    teacher_wrong_labels: Finite = Field(default=0.0, ge=0, le=1)
    teacher_contrast: tuple[Finite, Finite] = (0.15, 0.45)
    difficulty: Finite = Field(default=1.0, gt=0)
    cohort_seed: int = 1000


class ImageFolderData(FrozenModel):
    """A labelled image folder: ``table`` (CSV) names id, patient and label columns; images and masks are found by id.

    ``path`` is relative to the data root (``MEDKD_DATA``). Where the table has a ``part_column`` its values are used
    (values in ``validation_values`` are the validation part), otherwise the split is made by patient. ``where`` keeps the lines
    whose columns have these values.
    """

    kind: Literal["image_folder"] = "image_folder"
    path: str
    table: str = "cases.csv"
    id_column: str = "ID"
    patient_column: str = "patient"
    label_column: str | None = "label"
    part_column: str | None = None
    validation_values: tuple[str, ...] = ("val", "validation")
    attribute_columns: tuple[str, ...] = ()
    where: dict[str, str] = Field(default_factory=dict)
    images: str = "images"
    masks: str | None = "masks"
    inner_validation: Finite = Field(default=0.0, ge=0, lt=0.5)


class VolumeFolderData(FrozenModel):
    """Volumes with label maps as NIfTI, listed by a ``dataset.json`` as in the Medical Segmentation Decathlon, or found by name.

    Without ``dataset`` the files of the folder ``images`` are the cases, and ``masks`` holds a label map of the same name for each
    (null where there are none: classification by the table's ``label_column``).

    Who a file belongs to is said by ``table`` (columns ``id_column`` and ``patient_column``), or by ``patient_pattern``: ``odd-even`` (the
    numbers 2k - 1 and 2k are one person) or a regular expression whose first group is the person. Without either, every file would
    be a person of its own, which is refused. Columns, ``where`` and inner validation as in :class:`ImageFolderData`.
    """

    kind: Literal["volume_folder"] = "volume_folder"
    path: str
    dataset: str | None = "dataset.json"
    images: str = "images"
    masks: str | None = "masks"
    table: str | None = None
    id_column: str = "case"
    patient_column: str = "subject"
    label_column: str | None = None
    patient_pattern: str | None = None
    part_column: str | None = None
    validation_values: tuple[str, ...] = ("val", "validation")
    attribute_columns: tuple[str, ...] = ()
    where: dict[str, str] = Field(default_factory=dict)
    inner_validation: Finite = Field(default=0.0, ge=0, lt=0.5)
    most: int | None = Field(default=None, ge=4)

    def model_post_init(self, context: Any) -> None:
        """Say how files of one person are known."""
        if self.table is None and self.patient_pattern is None:
            raise ValueError("expected a table with a patient column, or patient_pattern: files of one person must be known to be so")


class DicomData(FrozenModel):
    """DICOM studies with their labels (SEG, RTSTRUCT or NIfTI), ingested under ``policy``: one case per verified volume that has a label.

    ``modality`` keeps the series of one modality. For segmentation, ``segments`` names the class of a structure by anything its objects
    call it: ROI name or segment label, code (``SCT:10200004``), coded meaning, interpreted type, file name of a NIfTI with one structure;
    upper and lower case, ``_``, ``-`` and spaces are alike. The most specific name that is listed, or is a class, counts, ``"*"`` stands for all others;
    what is mapped to the first class (background) is left out. Structures that are not listed must be called like a class. All labels of
    a volume are combined; where structures overlap, the smaller one wins (of equal ones, the later class). For classification the class is what the segmentation states
    (``class=NAME``). The split is made by patient; ``inner_validation`` as in :class:`ImageFolderData`.
    """

    kind: Literal["dicom"] = "dicom"
    path: str
    policy: IngestPolicy = Field(default_factory=IngestPolicy)
    modality: str | None = None
    segments: dict[str, str] = Field(default_factory=dict)
    held_out: Finite = Field(default=0.2, gt=0, lt=1)
    inner_validation: Finite = Field(default=0.0, ge=0, lt=0.5)


Data = Annotated[PhantomData | ImageFolderData | VolumeFolderData | DicomData, Field(discriminator="kind")]


class CohortSpec(FrozenModel):
    """Everything that the cohorts of a recipe depend on beside the files they are read from.

    Attributes:
        name: of the recipe, which file names follow from.
        task: classes, and what a network sees at once.
        data: where cases come from.
        seeds: that students are trained under, those of an experiment's search after the recipe's own.
    """

    name: str
    task: Task
    data: Data
    seeds: tuple[int, ...]

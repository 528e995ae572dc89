"""Where a recipe's cases come from: the phantom, a folder of pictures or volumes, DICOM studies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from data_contracts.ingest_policy import IngestPolicy
from data_contracts.record import Finite, FrozenModel
from data_contracts.study import Coordinate
from data_contracts.task import Task


class PhantomData(FrozenModel):
    """Direct phantom cohorts (origin ``phantom-direct``): invented cases whose truth is known.

    Attributes:
        kind: ``phantom``.
        teacher: training cases of the teacher.
        teacher_validation: cases that the teacher's gate judges it by.
        student: labelled training cases of each student.
        unlabelled: further training cases of each student, without labels.
        test: test cases, with the students' bias.
        debiased: test cases whose marker tells nothing of the class.
        reversed: test cases whose marker says the opposite.
        marker_pairs: pairs of cases that differ in nothing but the marker.
        teacher_marker_rates: share of the teacher's cases of each class (benign, malignant) that carry the marker.
        student_marker_rates: the same of the students' cases.
        student_contrast: least and largest contrast of lesions in the students' labelled cases; all other cases span the full range.
        student_validation: cases with the students' bias that weights and epochs are chosen on.
        cue: mark drawn beside the lesions of the students' labelled cases (segmentation): the teacher sees it beside lesions, elsewhere or
            not at all, a third each; the tests are ``test`` (beside), ``uncued`` (none) and ``misplaced`` (elsewhere).
        mask_share: share of the students' cases that have a mask; all are labelled.
        teacher_wrong_labels: share of the teacher's training cases that carry the other class's label: a wrong teacher.
        teacher_contrast: least and largest contrast of lesions in the teacher's training cases: a mismatched teacher.
        difficulty: 1 is the reference; more is harder.
        cohort_seed: what all cases are drawn from; the same number gives the same cases.
        lesions: least and largest number of lesions of a case; left out of the record where each case has one.
        cysts: every third case has a cyst, a smooth lesion that is darker than what is round it: a third class, of cases or of voxels. Left out
            of the record where there are none.
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
    lesions: tuple[int, int] = Field(default=(1, 1), exclude_if=lambda counts: counts == (1, 1))
    cysts: bool = Field(default=False, exclude_if=lambda drawn: not drawn)

    def model_post_init(self, context: Any) -> None:
        """Refuse more lesions than a body has room for, and a cue that would not know which one it belongs to."""
        low, high = self.lesions
        if not 0 <= low <= high <= 4:
            raise ValueError(f"expected 0 <= least <= largest <= 4 lesions, got {self.lesions}")
        if self.lesions != (1, 1) and self.cue != "none":
            raise ValueError(f"expected one lesion a case beside a cue, got {self.lesions} and {self.cue!r}")
        if self.lesions != (1, 1) and self.cysts:
            raise ValueError(f"expected one lesion a case where cysts are drawn, got {self.lesions}")


class FoldChoice(FrozenModel):
    """One fold of a cross-validation: its cases are the test, all others are trained on.

    Attributes:
        number: of the fold, from 0.
        of: how many folds there are; patients are kept together and classes balanced, the same way for each number.
        column: column of the table that says the fold of each case; None draws the folds.
        value: what that column says of the cases of this fold.
    """

    number: int = Field(ge=0)
    of: int = Field(ge=2, le=20)
    column: str | None = None
    value: str | None = None

    def model_post_init(self, context: Any) -> None:
        """A fold is one of those that there are."""
        if self.number >= self.of:
            raise ValueError(f"expected the number of a fold below {self.of}, got {self.number}")


class ImageFolderData(FrozenModel):
    """A labelled folder of pictures: a table names cases, patients and classes; pictures and masks are found by the case's name.

    Attributes:
        kind: ``image_folder``.
        path: the folder, relative to the data root (``MEDKD_DATA``, by default ``data`` in the present folder).
        table: table of cases (CSV) in it.
        id_column: column that names the files, with or without suffix.
        patient_column: column that names the patient; cases of one patient stay in one part.
        label_column: column that holds the class; None where there is none (segmentation).
        part_column: column that says which part a case belongs to; None splits by patient.
        validation_values: its values that mean the validation part.
        attribute_columns: columns that describe patients or devices; they become subgroups.
        where: columns and the value that lines must have in them; other lines are left out.
        images: folder of the pictures.
        masks: folder of the masks, which have the pictures' names and are non-zero inside the lesion; None where there are none.
        inner_validation: share of the training patients that is held back for the teacher's gate and for choosing weights and epochs.
        fold: fold of a cross-validation whose cases are the test, instead of ``part_column``; None of a recipe that is run once.
        remove_artefacts: whether letters and caliper crosses that are burnt in are painted over before anything sees the pictures; what is found
            and what is not: ``medkd/volumes/burnt_in.py``.
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
    # Left out where it is the default: recipes that were written before keep their digests.
    remove_artefacts: bool = Field(default=False, exclude_if=lambda value: value is False)
    fold: FoldChoice | None = Field(default=None, exclude_if=lambda value: value is None)


class VolumeFolderData(FrozenModel):
    """Volumes with label maps as NIfTI. Whose a file is must be known: by ``table``, or by ``patient_pattern``.

    Attributes:
        kind: ``volume_folder``.
        path: the folder, relative to the data root (``MEDKD_DATA``, by default ``data`` in the present folder).
        dataset: list of the cases as in the Medical Segmentation Decathlon or of nnU-Net v2; None takes the files of ``images``.
        images: folder of the volumes, where there is no list.
        masks: folder of the label maps, which have the volumes' names, where there is no list; None where there are none (classification).
        table: table of cases (CSV) in the folder; None where ``patient_pattern`` says whose a file is.
        id_column: column that names the files, with or without suffix.
        patient_column: column that names the patient; cases of one patient stay in one part.
        label_column: column that holds the class (classification).
        patient_pattern: whose a file is, by its name: ``odd-even`` (the numbers 2k - 1 and 2k are one person), or a regular expression whose first
            group is the person.
        part_column: column that says which part a case belongs to; None splits by patient.
        validation_values: its values that mean the validation part.
        attribute_columns: columns that describe patients or devices; they become subgroups.
        where: columns and the value that lines must have in them; other lines are left out.
        inner_validation: share of the training patients that is held back for the teacher's gate and for choosing weights and epochs.
        fold: fold of a cross-validation whose cases are the test, instead of ``part_column``; None of a recipe that is run once.
        most: take no more than so many cases; None takes all.
        channels: folders of the images of a case by the name of the channel (``task.channels``), the first of them ``images``; files of a case
            have one name in all of them and lie on one grid. Left out of the record where a case has one image, and where a list names the
            channels (``dataset``).
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
    channels: dict[str, str] = Field(default_factory=dict, exclude_if=lambda folders: not folders)
    # Left out where there is none: recipes that were written before keep their digests.
    fold: FoldChoice | None = Field(default=None, exclude_if=lambda value: value is None)

    def model_post_init(self, context: Any) -> None:
        """Say how files of one person are known, and where the images of a case lie."""
        first = next(iter(self.channels.values()), self.images)
        if self.channels and (first != self.images or self.dataset is not None):
            raise ValueError(
                f"expected data.channels of which the first is data.images ({self.images}), and no list of the data set beside them, got {self.channels} "
                f"and dataset {self.dataset}"
            )
        if self.table is None and self.patient_pattern is None:
            raise ValueError(
                f"expected a table with a patient column, or patient_pattern: files of one person must be known to be so, got neither for {self.path!r}"
            )


class SeriesRule(FrozenModel):
    """Which volume of a study is one of the images of its case; what is None or empty is not asked.

    Attributes:
        modality: of the series (``CT``, ``MR``, ``PT``).
        words: what is said of its acquisition, all of them, as ``medkd ingest`` lists it between commas: ``T1``, ``FLAIR``, ``with contrast``, ``b
            1000``; upper and lower case are alike.
        without: what is said of it in none of its words: ``[with contrast]`` tells a T1 from the same one after contrast.
        coordinates: what tells volumes of one series apart, as in :class:`DicomData`.
    """

    modality: str | None = None
    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    coordinates: dict[str, Coordinate] = Field(default_factory=dict)

    def text(self) -> str:
        """Return what is asked for, in words: ``MR, T1, not with contrast``."""
        asked = (*((self.modality,) if self.modality else ()), *self.words, *(f"not {word}" for word in self.without))
        return ", ".join((*asked, *(f"{name} {value}" for name, value in self.coordinates.items()))) or "any"


class DicomData(FrozenModel):
    """DICOM studies with their labels (SEG, RTSTRUCT or NIfTI): one case per verified volume that has a label.

    All labels of a volume are combined; where structures overlap, the smaller one wins (of equal ones, the later class). For
    classification the class is what the segmentation states (``class=NAME``). The split is made by patient. A task with an ``image_size`` of
    two numbers is about pictures, each frame a case brought to that size; one of three about volumes. What is neither is left out, and said.

    Attributes:
        kind: ``dicom``.
        path: the folder, relative to the data root (``MEDKD_DATA``, by default ``data`` in the present folder).
        policy: what is done about findings of the ingestion.
        modality: keeps the series of one modality (``CT``, ``MR``); None keeps all.
        coordinates: keeps the volumes that have all of these coordinates, of series that hold several (``DiffusionBValue: 1000``, ``EchoTime:
            4.6``, ``TemporalPositionIdentifier: 2``): what tells volumes of one series apart, as ``medkd ingest --json`` lists it. A series that
            is one volume has none, and is left out then. Empty keeps all.
        segments: class of a structure, by anything its objects call it: ROI name or segment label, code (``SCT:10200004``), coded meaning,
            interpreted type, file name of a NIfTI with one structure; upper and lower case, ``_``, ``-`` and spaces are alike. The most
            specific name that is listed, or is a class, counts; ``"*"`` stands for all others, and what is mapped to the first class is
            left out. Structures that are not listed must be called like a class.
        channels: which volumes of a study are the images of a case, by the name of the channel (``task.channels``): one volume for each, all in
            one frame of reference. The label lies on the first, and the others are brought to its grid. ``modality`` and ``coordinates`` are
            said for each, then. Left out of the record where a case has one image.
        held_out: share of the patients that is the test.
        inner_validation: share of the training patients that is held back for the teacher's gate and for choosing weights and epochs.
    """

    kind: Literal["dicom"] = "dicom"
    path: str
    policy: IngestPolicy = Field(default_factory=IngestPolicy)
    modality: str | None = None
    coordinates: dict[str, Coordinate] = Field(default_factory=dict, exclude_if=lambda wanted: not wanted)
    segments: dict[str, str] = Field(default_factory=dict)
    channels: dict[str, SeriesRule] = Field(default_factory=dict, exclude_if=lambda rules: not rules)
    held_out: Finite = Field(default=0.2, gt=0, lt=1)
    inner_validation: Finite = Field(default=0.0, ge=0, lt=0.5)

    def model_post_init(self, context: Any) -> None:
        """Refuse rules that could not tell which volume is which image."""
        if self.channels and (self.modality is not None or self.coordinates):
            raise ValueError(
                f"expected modality and coordinates of each of data.channels, got them beside {list(self.channels)}: say them of the channels"
            )
        rules = list(self.channels.items())
        for place, (name, rule) in enumerate(rules):
            twin = next((other for other, earlier in rules[:place] if earlier == rule), None)
            if twin is not None:
                raise ValueError(
                    f"expected another rule for each of data.channels, {twin} and {name} have the same: say what tells them apart"
                )


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

"""Explanations: an attribution map, what it explains, how it was made, and which tests it passed."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from data_contracts.card_notes import Structures
from data_contracts.explain_plan import Entry
from data_contracts.geometry import Geometry
from data_contracts.model import ModelRef
from data_contracts.record import MIGRATIONS, RETIRED, Estimate, Finite, FrozenModel, Key, Ref, Sha256, VersionedRecord
from data_contracts.task import Option, TaskKind
from data_contracts.volume import VolumeRef


class TargetRecord(FrozenModel):
    """The explained scalar: kind and parameters of a function in ``medkd.targets``; ``mask_sha256`` for lesion targets."""

    kind: str
    options: dict[str, Option] = Field(default_factory=dict)
    mask_sha256: Sha256 | None = None
    score: Finite | None = None


class MethodRecord(FrozenModel):
    """The explainer: catalogue name, options, and the properties its file declares."""

    explainer: str
    options: dict[str, Option] = Field(default_factory=dict)
    layer: str | None = None
    signed: bool = True
    passes_randomisation: bool | None = None


class MeasureValue(FrozenModel):
    """One measure of one map. ``value`` is None where the measure is undefined, with the reason."""

    name: str
    value: Finite | None
    higher_is_better: bool
    unit: str = ""
    reason: str = ""


class Peak(FrozenModel):
    """Where a map is highest: voxel (slice, row, column), patient position in LPS mm (None in a picture, which has none), value."""

    voxel: tuple[int, int, int]
    position_lps_mm: tuple[Finite, Finite, Finite] | None
    value: Finite


def map_name(number: int, role: str, explainer: str) -> str:
    """Return the name of the tensor that holds a study's map: of a finding, by a network, by an explainer."""
    return f"map/{number}/{role}/{explainer}"


class ExplanationRef(VersionedRecord):
    """A stored attribution map: raw, signed, in units of the target, on the original grid. The digest is its content id.

    ``parent`` is the content id of the teacher's map of the same target. ``peaks`` lie at least 5 mm apart, highest first.
    """

    SCHEMA: ClassVar[str] = "explanation/2"
    case_key: Key
    source_digest: Sha256
    model: str
    model_role: Literal["teacher", "student"]
    weights_digest: Sha256
    method: MethodRecord
    target: TargetRecord
    array: Ref
    tensor: str
    shape: tuple[int, ...]
    geometry: Geometry | None = None
    unit: str = "logit"
    preprocessing_digest: str = ""
    seed: int = 0
    measures: tuple[MeasureValue, ...] = ()
    peaks: tuple[Peak, ...] = ()
    parent: Sha256 | None = None

    @property
    def number(self) -> int:
        """Return the number of the finding that a study's map explains (:func:`map_name`)."""
        return int(self.tensor.split("/")[1])

    def measure(self, name: str) -> float | None:
        """Return a measured value by its name; None where it is undefined or was not measured."""
        return next((one.value for one in self.measures if one.name == name), None)


class OutsideFocus(FrozenModel):
    """The largest attribution outside everything that was found: where it is and which share of the map's mass lies outside."""

    explainer: str
    slice_index: int = Field(ge=0)
    row: int = Field(ge=0)
    column: int = Field(ge=0)
    position_lps_mm: tuple[Finite, Finite, Finite] | None
    share_outside: Finite


class Caveat(FrozenModel):
    """A computed warning: stable code, a sentence made of quantity, unit and source, and how grave it is (3 worst)."""

    code: str
    text: str
    severity: int = Field(ge=1, le=3)


class Lesion(FrozenModel):
    """A connected component (26-neighbourhood) of a lesion class on the unperturbed prediction, frozen for its explanation.

    ``diameter_mm`` is the longest in space. ``axes_mm`` are the long axis, the longest within one slice, and the short axis, perpendicular to it in
    that slice; None of a picture, and of a record from before they were measured, where they are not written: such a record keeps its bytes.
    """

    tracking_id: str
    class_name: str
    voxels: int = Field(ge=1)
    volume_ml: Finite | None
    diameter_mm: Finite | None
    axes_mm: tuple[Finite, Finite] | None = Field(default=None, exclude_if=lambda axes: axes is None)
    centroid_lps_mm: tuple[Finite, Finite, Finite] | None
    key_slice: int = Field(ge=0)
    first_slice: int = Field(ge=0)
    last_slice: int = Field(ge=0)
    side: Literal["left", "right", "midline", "unknown"] = "unknown"
    mask_sha256: Sha256


class LesionFinding(Lesion):
    """A lesion that a model found, and who else marks it.

    ``share_in_teacher`` is the share of its voxels that the teacher gives the same class, None without a teacher. Dice is to the teacher's
    (the reference's) components that the lesion touches; the reference is the study's own segmentation, where there is one of the only class.
    """

    share_in_teacher: Finite | None = Field(default=None, ge=0, le=1)
    dice_to_teacher: Finite | None = None
    dice_to_reference: Finite | None = None
    outside: OutsideFocus | None = None

    @property
    def number(self) -> int:
        """Return the number of the lesion in its study: that of ``lesion-NUMBER``."""
        return int(self.tracking_id.removeprefix("lesion-"))


class ClassAnswer(FrozenModel):
    """What a classifier answers about a run of neighbouring slices, or about a volume as a whole; ``probability`` is its mean over them.

    ``key_slice`` is the slice that it is surest of; of a volume the one in the middle. ``probabilities`` are the means of every class, the
    asked model's and its teacher's; empty where they were not kept, or where there is no teacher.
    """

    number: int = Field(ge=1)
    class_name: str
    probability: Finite = Field(ge=0, le=1)
    first_slice: int = Field(ge=0)
    last_slice: int = Field(ge=0)
    key_slice: int = Field(ge=0)
    probabilities: dict[str, Finite] = Field(default_factory=dict)
    teacher_probabilities: dict[str, Finite] = Field(default_factory=dict)
    outside: OutsideFocus | None = None


class SanityCheck(FrozenModel):
    """One test of an explainer on one network. ``passed`` is None where the test does not apply, with the reason."""

    name: Literal["randomisation", "completeness", "additivity", "random_lesion"]
    value: Finite | None
    limit: Finite
    passed: bool | None
    reason: str = ""


class SanityReport(FrozenModel):
    """Which tests an explainer's maps passed on this network; ``trusted`` says that none failed.

    ``samples`` is (asked for, made) where a time budget made it an approximation. ``windows`` is (in which the lesion lies, tested on) where a lesion that
    lies in many windows of a large volume was tested on those that hold most of it; None, and not written, where it was tested on all.
    """

    explainer: str
    checks: tuple[SanityCheck, ...]
    trusted: bool
    samples: tuple[int, int] | None = None
    windows: tuple[int, int] | None = Field(default=None, exclude_if=lambda windows: windows is None)


class ExplanationBundle(VersionedRecord):
    """The explanations of one model over a cohort: maps packed in one file, measures per map, figures per explainer.

    ``figures`` is keyed ``explainer/measure``. ``sanity_reports`` says of each explainer which tests it passed on this model, and
    ``failed_explainers`` names those that failed one: maps that hardly change when the weights are drawn anew say more of the image than of
    the network, sums that do not add up are no account of the score. ``request`` names a JSON file with the records that
    the maps can be made again from (recipe, cohorts, student, teacher), bit for bit with as many ``threads``; ``previews`` are pictures.
    """

    SCHEMA: ClassVar[str] = "explanation_bundle/2"
    subject: str
    weights_digest: Sha256
    teacher_digest: Sha256
    explanations: tuple[ExplanationRef, ...]
    figures: dict[str, Estimate]
    failed_explainers: tuple[str, ...] = ()
    sanity_reports: tuple[SanityReport, ...] = ()
    previews: tuple[Ref, ...] = ()
    request: Ref | None = None
    threads: int = Field(default=1, ge=1)


_Index = Annotated[int, Field(ge=0)]
#: A voxel of a study: slice, row, column.
Voxel = tuple[_Index, _Index, _Index]


class ExplanationRequest(FrozenModel):
    """What is asked of a study: which explainers, which finding or the first ``most`` (all of them without), in how much time.

    Of an answer about a run of slices, ``slices`` of them are explained, those nearest to the one it is surest of (all without).

    With a ``place`` (slice, row, column of the study) nothing that was found is explained but what supports ``class_name`` there: against the
    background at that voxel, by a classifier against its other classes in that slice. Without a class it is the one that the model gives there.
    Its maps have the number 0. Both are not written where nothing was asked: such a record keeps its bytes.

    With ``cheapest_first`` the closed-form map is asked for first, then the explainers in the order of what they cost, until ``seconds`` are used up;
    what is left out then is a caveat of the explanation. It is not written where it is not asked for.
    """

    explainers: tuple[Entry, ...]
    lesion: int | None = Field(default=None, ge=1)
    most: int | None = Field(default=None, ge=1)
    slices: int | None = Field(default=None, ge=1)
    seconds: Finite | None = Field(default=None, gt=0)
    seed: int = 0
    place: Voxel | None = Field(default=None, exclude_if=lambda place: place is None)
    class_name: str | None = Field(default=None, exclude_if=lambda name: name is None)
    cheapest_first: bool = Field(default=False, exclude_if=lambda first: not first)


class StudyExplanation(VersionedRecord):
    """Why a registered model found what it found in one volume, lesion by lesion, or answered what it answered, answer by answer.

    Everything that is said of a model and a study is in this record and its arrays: artefact, tables and page are made from them. Its digest is
    the artefact's content id. ``array`` names a safetensors file with float32 ``map/NUMBER/ROLE/EXPLAINER``, uint8 ``mask/NUMBER`` of every
    finding that is explained (the lesion; of an answer what is marked on its slices), of models that segment uint8 ``segmentation/ROLE``
    (the class of every voxel), and of models that classify uint8 ``marked`` where the study's own segmentation or a segmenter says what a
    map should lie on; all on the study's own voxels. Beside them float32 ``features/NUMBER`` [feature] of every finding that has maps: the model's
    pooled features, by which it is compared with training cases (none in an explanation from before). No lesion is an answer: then there are no maps.

    Lesions that the teacher marks too come first, the larger before the smaller; ``teacher_only`` are components that the teacher marks where
    the model has (nearly) nothing. ``mass`` says which part of a map shares are taken of: the absolute attribution, or the positive one
    (what speaks for a segmented structure: the background of a volume is mostly evidence against it). ``window`` is the grey scale that
    the network sees, None where it sees standardised values. ``caveats`` say in what the study is not what the model was trained on,
    and what a calibrated version's probabilities are worth. ``further`` are the other images of a network that sees several, in the order of its
    channels, each read on the grid of ``volume``, the first, and ``image_names`` what the network calls all of them; both are left out of the record
    where there are none.
    ``tested_on_cohort`` names the explainers whose verdict is that of the model's cohort; the others were tested on this study.
    ``structures`` and ``trained_on`` are what the model's card says: whether it outlines lesions or anatomy, and which modality and body part it
    was trained on (empty where the card does not say). ``threads`` and ``libraries`` are what the last bits depend on.
    """

    SCHEMA: ClassVar[str] = "study_explanation/4"
    request: ExplanationRequest
    volume: VolumeRef
    further: tuple[VolumeRef, ...] = Field(default=(), exclude_if=lambda volumes: not volumes)
    image_names: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    model: ModelRef
    teacher: ModelRef | None = None
    kind: TaskKind
    task_digest: Sha256
    window: tuple[Finite, Finite] | None = None
    parameters: int = Field(ge=1)
    teacher_parameters: int | None = Field(default=None, ge=1)
    depth: int = Field(ge=0)
    mass: Literal["absolute", "positive"]
    lesions: tuple[LesionFinding, ...]
    answers: tuple[ClassAnswer, ...] = ()
    teacher_only: tuple[Lesion, ...] = ()
    maps: tuple[ExplanationRef, ...]
    sanity_reports: tuple[SanityReport, ...]
    tested_on_cohort: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    structures: Structures = "lesion"
    trained_on: str = ""
    array: Ref
    threads: int = Field(ge=1)
    libraries: dict[str, str]

    @property
    def failed_explainers(self) -> tuple[str, ...]:
        """Return the explainers that failed a test on this model."""
        return tuple(verdict.explainer for verdict in self.sanity_reports if not verdict.trusted)

    @property
    def explained(self) -> tuple[int, ...]:
        """Return the numbers of the findings that have maps, in order."""
        return tuple(sorted({one.number for one in self.maps}))

    def failed_checks(self, explainer: str) -> tuple[str, ...]:
        """Return the tests that an explainer failed on this model."""
        return tuple(c.name for v in self.sanity_reports if v.explainer == explainer for c in v.checks if c.passed is False)


def _study_explanation_2(earlier: dict[str, Any]) -> dict[str, Any]:
    """Lift a study's explanation of version 1, which always asked for everything, took shares of the absolute map and compared no masks.

    A model that classifies always answers something, so that no answer means one that segments.
    """
    # Version 1 did not say its kind; a classifier always answers something.
    answered = bool(earlier["answers"])
    # Version 1 explained everything that it found.
    request = {**earlier["request"], "most": None, "slices": None}
    return {
        **earlier,
        "schema_version": "study_explanation/2",
        "request": request,
        "kind": "classification" if answered else "segmentation",
        "mass": "absolute",
    }


MIGRATIONS["study_explanation/1"] = _study_explanation_2
MIGRATIONS["study_explanation/3"] = lambda earlier: {**earlier, "schema_version": "study_explanation/4"}
RETIRED["lesion_explanation/1"] = "it was written by nobody; a study's explanation is study_explanation/2 (`medkd explain --study`)"


class ExplainedStudy(FrozenModel):
    """A study that was explained by several models: of each its record and its arrays, in the same order."""

    series_key: Key
    records: tuple[Ref, ...]
    arrays: tuple[Ref, ...]


class RefusedSeries(FrozenModel):
    """A series that the models could not be asked about: code and reason of the refusal."""

    series_key: Key
    code: str
    reason: str


class ExplainedStudies(VersionedRecord):
    """Explained studies, and the series that were refused."""

    SCHEMA: ClassVar[str] = "explained_studies/2"
    studies: tuple[ExplainedStudy, ...]
    refused: tuple[RefusedSeries, ...] = ()

"""Explanations: an attribution map, what it explains, how it was made, and which tests it passed."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from data_contracts.explain_plan import Entry
from data_contracts.geometry import Geometry
from data_contracts.model import ModelRef
from data_contracts.record import Estimate, Finite, FrozenModel, Key, Ref, Sha256, VersionedRecord
from data_contracts.task import Option
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
    """Where a map is highest: voxel (slice, row, column), patient position in LPS mm, value."""

    voxel: tuple[int, int, int]
    position_lps_mm: tuple[Finite, Finite, Finite]
    value: Finite


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


class AttributionAgreement(FrozenModel):
    """How alike the teacher's and the student's map of one target are: cosine and Spearman rank correlation in [-1, 1]."""

    cosine: Finite | None
    rank_correlation: Finite | None
    inside_gap: Finite | None = None


class Lesion(FrozenModel):
    """A connected component (26-neighbourhood) of a lesion class on the unperturbed prediction, frozen for its explanation."""

    tracking_id: str
    class_name: str
    voxels: int = Field(ge=1)
    volume_ml: Finite | None
    diameter_mm: Finite | None
    centroid_lps_mm: tuple[Finite, Finite, Finite] | None
    key_slice: int = Field(ge=0)
    first_slice: int = Field(ge=0)
    last_slice: int = Field(ge=0)
    side: Literal["left", "right", "midline", "unknown"] = "unknown"
    mask_sha256: Sha256


class ClassAnswer(FrozenModel):
    """What a classifier answers about a run of neighbouring slices, or about a volume as a whole; ``probability`` is its mean over them.

    ``key_slice`` is the slice that it is surest of; of a volume the one in the middle.
    """

    number: int = Field(ge=1)
    class_name: str
    probability: Finite = Field(ge=0, le=1)
    first_slice: int = Field(ge=0)
    last_slice: int = Field(ge=0)
    key_slice: int = Field(ge=0)


class LesionExplanation(VersionedRecord):
    """Everything said about one lesion: the student's and the teacher's maps, and how far they agree."""

    SCHEMA: ClassVar[str] = "lesion_explanation/1"
    lesion: Lesion
    student: tuple[ExplanationRef, ...]
    teacher: tuple[ExplanationRef, ...] = ()
    agreement: dict[str, AttributionAgreement] = Field(default_factory=dict)


class SanityCheck(FrozenModel):
    """One test of an explainer on one network. ``passed`` is None where the test does not apply, with the reason."""

    name: Literal["randomisation", "completeness", "additivity", "random_lesion"]
    value: Finite | None
    limit: Finite
    passed: bool | None
    reason: str = ""


class SanityReport(FrozenModel):
    """Which tests an explainer's maps passed on this network; ``trusted`` says that none failed.

    ``samples`` is (asked for, made) where a time budget made it an approximation.
    """

    explainer: str
    checks: tuple[SanityCheck, ...]
    trusted: bool
    samples: tuple[int, int] | None = None


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


class ExplanationRequest(FrozenModel):
    """What is asked of a study: which explainers, which lesion or answer (all of them without), in how much time."""

    explainers: tuple[Entry, ...]
    lesion: int | None = Field(default=None, ge=1)
    seconds: Finite | None = Field(default=None, gt=0)
    seed: int = 0


class StudyExplanation(VersionedRecord):
    """Why a registered model found what it found in one volume, lesion by lesion, or answered what it answered, answer by answer.

    Its digest is the artefact's content id. ``array`` names a safetensors file with float32 ``map/NUMBER/ROLE/EXPLAINER`` and uint8
    ``mask/NUMBER`` (the lesion; of an answer what the study's own label marks there), all on the study's own voxels.
    No lesion is an answer: then there are no maps. ``threads`` and ``libraries`` are what the last bits depend on.
    """

    SCHEMA: ClassVar[str] = "study_explanation/1"
    request: ExplanationRequest
    volume: VolumeRef
    model: ModelRef
    teacher: ModelRef | None = None
    task_digest: Sha256
    parameters: int = Field(ge=1)
    depth: int = Field(ge=0)
    lesions: tuple[Lesion, ...]
    answers: tuple[ClassAnswer, ...] = ()
    maps: tuple[ExplanationRef, ...]
    sanity_reports: tuple[SanityReport, ...]
    array: Ref
    threads: int = Field(ge=1)
    libraries: dict[str, str]

    @property
    def failed_explainers(self) -> tuple[str, ...]:
        """Return the explainers that failed a test on this model."""
        return tuple(verdict.explainer for verdict in self.sanity_reports if not verdict.trusted)


class LayerTrait(FrozenModel):
    """A layer, the channels that carry most of the score, most first, and the share of its first-order change that each carries."""

    name: str
    channels: tuple[int, ...]
    shares: tuple[Finite, ...]


class Inspection(VersionedRecord):
    """What a network is like beside its teacher, where no map says it.

    ``similarity`` is the linear CKA of every layer with every ``teacher_layers``, None where one is constant. ``figures`` is keyed
    ``ROLE/NAME``: the root mean square change of a voxel, in units of the network's input (its window is 2 wide), that flips the answer by the
    smallest change found (``minimal_perturbation_rms``) and straight along the gradient (``boundary_rms``), the share of cases that could be flipped,
    and student less teacher of each. ``array`` names a safetensors file with ``feature_visualisation/CLASS`` (what would score highest), ``image``,
    ``change/ROLE`` and ``plane/ROLE`` (the score round the first case); ``picture`` shows them.
    """

    SCHEMA: ClassVar[str] = "inspection/2"
    subject: str
    weights_digest: Sha256
    teacher_digest: Sha256
    cases: int = Field(ge=1)
    layers: tuple[LayerTrait, ...]
    teacher_layers: tuple[str, ...]
    similarity: tuple[tuple[Finite | None, ...], ...]
    figures: dict[str, Estimate]
    array: Ref
    picture: Ref


class BenchmarkNetwork(FrozenModel):
    """A network that was made to use one thing, or both, and what hiding each does to its score.

    ``gap`` is the network of both less the network of the lesion: what is explained is where the two part, which is the marker. ``accuracy`` is
    that on the held-out cases (of the gap: the share in which they part where they should); ``effects`` is the fall of the explained margin, in logits, when the lesion or the marker is
    not rendered: what the network really uses.
    """

    name: Literal["lesion", "marker", "both", "gap"]
    accuracy: Finite
    effects: dict[Literal["lesion", "marker"], Estimate]


class ExplainerBenchmark(VersionedRecord):
    """How well every explainer finds what a network really uses, where that is known because it was planted.

    ``figures`` is network, then explainer (baselines among them), then measure. ``not_shown`` says why an
    explainer is missing.
    """

    SCHEMA: ClassVar[str] = "explainer_benchmark/2"
    cases: int = Field(ge=1)
    seed: int
    networks: tuple[BenchmarkNetwork, ...]
    figures: dict[str, dict[str, dict[str, Estimate]]]
    not_shown: dict[str, str] = Field(default_factory=dict)

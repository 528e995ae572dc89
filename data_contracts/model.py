"""Checkpoints, model cards and registered model versions."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_serializer, model_validator

from data_contracts.calibration import CalibrationSummary
from data_contracts.card_notes import DataSource, Structures
from data_contracts.data import SeriesRule
from data_contracts.record import MIGRATIONS, Finite, FrozenModel, Ref, Sha256, VersionedRecord
from data_contracts.starting_weights import TakenWeights
from data_contracts.synthesis import TrainingCases
from data_contracts.task import NetworkSpec, Role, Task
from data_contracts.training_cost import TrainingCost


class TrainingDomain(FrozenModel):
    """What the volumes were that a network was trained on: a study that lies outside was never measured.

    Spacing and extent in mm along (slice, row, column) after axes were brought to the patient's, the smallest and the largest of each; None
    where pictures were trained on. Empty where the source did not say: modality and unit stand in DICOM only. ``outside`` is what is done
    with a study of another modality or unit (``outside_training`` of the recipe).
    """

    modalities: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    spacing_low_mm: tuple[Finite, Finite, Finite] | None = None
    spacing_high_mm: tuple[Finite, Finite, Finite] | None = None
    extent_low_mm: tuple[Finite, Finite, Finite] | None = None
    extent_high_mm: tuple[Finite, Finite, Finite] | None = None
    outside: Literal["caveat", "refuse"] = "caveat"


def run_name(arm: str, seed: int, feedback: str | None) -> str:
    """Return the name of a training run within its recipe; one that follows feedback, by the digest of its directives, has one of its own."""
    return f"{arm}-{seed}{'' if feedback is None else f'-{feedback[:8]}'}"


class Checkpoint(VersionedRecord):
    """A trained network as files: weights (safetensors), its specification, and what it was trained from.

    ``precision`` is what its training computed in; None of a checkpoint from before that was kept. ``domain`` says on what kind of
    volumes; None of a checkpoint from before that was kept. ``cost`` is what its training cost; None of one from before that was measured,
    and then not written: such a checkpoint keeps its bytes. ``feedback`` is the digest of the directives that its training followed; None,
    and not written, where it followed none. ``teacher_digest`` is the first teacher's, ``further_teacher_digests`` those of the others, in the order
    of its arm; not written where there is one. ``pretrained`` says which weights of before its training began with; None, and not written, where
    it began at random. ``hidden_classes`` are those that the labels of its training never showed; not written where they showed all.
    ``cases`` says whether the student saw cases, or pictures that no patient has; not written where they are real.
    """

    SCHEMA: ClassVar[str] = "checkpoint/2"
    role: Role
    arm: str
    seed: int
    network: NetworkSpec
    task: Task
    weights: Ref
    weights_digest: Sha256
    cohort_digest: str
    recipe_digest: Sha256
    teacher_digest: str | None = None
    parameters: int = Field(ge=1)
    epochs: int = Field(ge=1)
    precision: Literal["fp32", "bf16"] | None = None
    train_seconds: Finite = Field(default=0.0, json_schema_extra={"measured": True})
    largest_extent_mm: tuple[Finite, Finite, Finite] | None = None
    train_patients_digest: str = ""
    domain: TrainingDomain | None = None
    cost: TrainingCost | None = Field(default=None, json_schema_extra={"measured": True}, exclude_if=lambda cost: cost is None)
    feedback: Sha256 | None = Field(default=None, exclude_if=lambda digest: digest is None)
    further_teacher_digests: tuple[Sha256, ...] = Field(default=(), exclude_if=lambda digests: not digests)
    pretrained: TakenWeights | None = Field(default=None, exclude_if=lambda taken: taken is None)
    hidden_classes: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    cases: TrainingCases = Field(default="real", exclude_if=lambda kind: kind == "real")

    @property
    def run_name(self) -> str:
        """Return the name of its run within its recipe: ``ARM-SEED``, and what tells a training that followed feedback apart."""
        return run_name(self.arm, self.seed, self.feedback)

    def without_measured(self) -> Checkpoint:
        """Return the checkpoint without seconds and cost: the same training gives the same bytes and digest."""
        return self.model_copy(update={"train_seconds": 0.0, "cost": None})


class Lineage(FrozenModel):
    """The registered version that a student learned from; written as the text ``NAME/VERSION@DIGEST``, in records and MLflow tags.

    Attributes:
        name: registered name of the teacher.
        version: its version.
        manifest_digest: sha256 of its manifest.
    """

    name: str
    version: int = Field(ge=1)
    manifest_digest: Sha256

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        place, _, digest = value.partition("@")
        name, _, version = place.rpartition("/")
        return {"name": name, "version": version, "manifest_digest": digest}

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"{self.name}/{self.version}@{self.manifest_digest}"

    @property
    def uri(self) -> str:
        """Return the MLflow URI ``models:/name/version``."""
        return f"models:/{self.name}/{self.version}"


class ModelRef(VersionedRecord):
    """One registered version. ``manifest_digest`` is that of its manifest and is verified on every load.

    ``teacher`` is the first that it learned from, ``further_teachers`` the others, where there are several.
    """

    SCHEMA: ClassVar[str] = "model/1"
    name: str
    version: int = Field(ge=1)
    manifest_digest: Sha256
    role: Role
    weights_digest: Sha256
    teacher: Lineage | None = None
    further_teachers: tuple[Lineage, ...] = Field(default=(), exclude_if=lambda lineages: not lineages)

    @property
    def lineage(self) -> Lineage:
        """Return what students of this version name as their teacher."""
        return Lineage(name=self.name, version=self.version, manifest_digest=self.manifest_digest)

    @property
    def uri(self) -> str:
        """Return the MLflow URI ``models:/name/version``."""
        return f"models:/{self.name}/{self.version}"


class Registered(VersionedRecord):
    """The versions that a run registered, teacher first."""

    SCHEMA: ClassVar[str] = "registered/1"
    models: tuple[ModelRef, ...]


class ManifestEntry(FrozenModel):
    """A file of a registered version: its sha256 and size in bytes."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class ModelManifest(VersionedRecord):
    """What a registered version consists of; MLflow keeps no checksums, so we do."""

    SCHEMA: ClassVar[str] = "model_manifest/1"
    files: dict[str, ManifestEntry]


class ModelCard(VersionedRecord):
    """What a person should know before using a version. Research use only, always.

    ``calibration`` says what its probabilities are worth; None of a model that none was fitted for. ``structures`` is what a segmentation
    outlines, ``data`` where the training data come from and under which terms (None where the recipe does not say), ``patients`` the
    training patients with the names of their cases, both as the data call them; empty unless the recipe names them. A student's are also its
    teacher's. ``series`` is which volume of a DICOM study is which image of a case, where the recipe said it (of all images, in its order); left
    out of the record where it did not.
    """

    SCHEMA: ClassVar[str] = "model_card/3"
    name: str
    role: Role
    intended_use: str = "Research use only. Not a medical device."
    task: Task
    parameters: int
    precision: Literal["fp32", "bf16"] | None = None
    cohort_digest: str
    recipe_digest: Sha256
    teacher: Lineage | None = None
    further_teachers: tuple[Lineage, ...] = Field(default=(), exclude_if=lambda lineages: not lineages)
    limits: tuple[str, ...] = ()
    domain: TrainingDomain | None = None
    calibration: CalibrationSummary | None = None
    structures: Structures = "lesion"
    data: DataSource | None = None
    patients: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    series: dict[str, SeriesRule] = Field(default_factory=dict, exclude_if=lambda rules: not rules)

    def needed_series(self, task: Task) -> dict[str, SeriesRule]:
        """Return the rules of the images that networks of a task see, after that of the image that labels lie on; none where one has no rule."""
        found = {name: rule for place, (name, rule) in enumerate(self.series.items()) if place == 0 or name in task.image_names}
        return found if set(task.image_names) <= set(found) else {}

    @property
    def trained_on(self) -> str:
        """Return modality and body part of the training data in words; empty where the recipe does not say."""
        return "" if self.data is None else self.data.kind


MIGRATIONS["model_card/1"] = lambda earlier: {**earlier, "schema_version": "model_card/2", "calibration": None}
MIGRATIONS["model_card/2"] = lambda earlier: {**earlier, "schema_version": "model_card/3"}


class GateFinding(FrozenModel):
    """One requirement of a gate: what was asked, what was measured, whether it holds.

    ``measured`` is None, and ``why`` says why, where the measure is undefined on data that should show it: that holds no bound. Left out of the
    record where everything was measured.
    """

    requirement: str
    measured: Finite | None
    bound: Finite
    holds: bool
    why: str = Field(default="", exclude_if=lambda sentence: not sentence)

    @model_validator(mode="after")
    def _what_is_undefined_holds_nothing(self) -> GateFinding:
        if self.measured is None and (self.holds or not self.why):
            raise ValueError("expected a finding that does not hold, and why, where nothing was measured")
        return self

    @property
    def said(self) -> str:
        """The requirement with its bound and what was measured, for a sentence."""
        return f"{self.requirement} {self.bound:g} ({self.why if self.measured is None else f'measured {self.measured:.3f}'})"


class GateVerdict(VersionedRecord):
    """The verdict of a gate over a model, with every finding.

    ``class_figures`` is per class the Dice (segmentation) or the AUC against the other classes on the gate's cases, None where it is not defined;
    measured, and written, where an arm weighs its teachers by it. ``not_measured`` says of each bound that was asked, and that the data cannot
    show (no masks, no marker pairs), why it is not among the findings: that is no failure. Left out of the record where there is none.
    """

    SCHEMA: ClassVar[str] = "gate/1"
    subject: str
    findings: tuple[GateFinding, ...]
    enforced: bool
    class_figures: dict[str, Finite | None] = Field(default_factory=dict, exclude_if=lambda figures: not figures)
    not_measured: dict[str, str] = Field(default_factory=dict, exclude_if=lambda reasons: not reasons)

    @property
    def passed(self) -> bool:
        """True when every finding holds."""
        return all(finding.holds for finding in self.findings)

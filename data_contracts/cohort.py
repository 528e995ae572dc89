"""Cases, cohorts, and the certificate that no patient is on both sides of a split."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field

from data_contracts.errors import LeakageError
from data_contracts.geometry import Geometry
from data_contracts.record import Finite, FrozenModel, Key, Ref, Sha256, VersionedRecord
from data_contracts.synthesis import TrainingCases


class Part(StrEnum):
    """The parts of a split."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Subset(StrEnum):
    """What a part of a cohort is used for in a run; a CohortSet names its uses by it.

    ``debiased``, ``reversed``, ``marker_pairs``, ``uncued`` and ``misplaced`` are tests of the phantom; ``synthesised`` and ``noise`` are pictures that
    no patient has, for students that see no case.
    """

    TEACHER_TRAIN = "teacher_train"
    TEACHER_VALIDATION = "teacher_validation"
    STUDENT_TRAIN = "student_train"
    STUDENT_VALIDATION = "student_validation"
    UNLABELLED = "unlabelled"
    SYNTHESISED = "synthesised"
    NOISE = "noise"
    TEST = "test"
    DEBIASED = "debiased"
    REVERSED = "reversed"
    MARKER_PAIRS = "marker_pairs"
    UNCUED = "uncued"
    MISPLACED = "misplaced"

    def of(self, seed: int) -> str:
        """Return the name of the subset that students of a seed have for themselves."""
        return f"{self.value}/{seed}"

    @classmethod
    def learnt_from(cls, cases: TrainingCases, seed: int) -> str:
        """Return the name of the subset that an arm's students of a seed are trained on."""
        return cls.STUDENT_TRAIN.of(seed) if cases == "real" else cls(cases).of(seed)


class Case(FrozenModel):
    """One learnable unit: an image, what is known of it, and whose it is.

    ``label`` is an index into the cohort's classes; ``mask`` a stored label array on the image's grid.
    ``attributes`` are subgroup columns (device, side, …), never identifiers. ``perceptual_hash`` finds pictures that look the same
    (:mod:`medkd.volumes.perceptual`); drawn phantoms have none. ``clinical`` is the row that goes with the image, each column standardised on the
    training patients (``Cohort.clinical_scale``), None where it is missing; not written where there is none. ``modality`` and ``unit`` are those of the ingested volume, where there was one; its ``image`` is then the ingested array itself, on the grid ``geometry``.
    """

    case_key: Key
    patient_key: Key
    image: Ref
    mask: Ref | None = None
    label: int | None = Field(default=None, ge=0)
    pixel_sha256: Sha256 | None = None
    perceptual_hash: str | None = None
    study_key: Key | None = None
    frame_of_reference_key: Key | None = None
    attributes: dict[str, str] = Field(default_factory=dict)
    modality: str | None = None
    unit: str | None = None
    geometry: Geometry | None = None
    clinical: dict[str, Finite | None] = Field(default_factory=dict, exclude_if=lambda row: not row)


class Split(FrozenModel):
    """Case keys per part."""

    parts: dict[Part, tuple[Key, ...]]

    def part_of(self) -> dict[str, Part]:
        """Return the part of each case key."""
        return {key: part for part, keys in self.parts.items() for key in keys}


class Cohort(VersionedRecord):
    """Cases with a patient-wise split. A patient in two parts is refused when the record is made.

    ``channels`` are the names of the images of a case, the one that stands for the case first; ``clinical_scale`` is mean and deviation of each
    clinical column over the training patients, that values were standardised with. Neither is written where there is none.
    """

    SCHEMA: ClassVar[str] = "cohort/1"
    name: str
    origin: str
    classes: tuple[str, ...]
    cases: tuple[Case, ...]
    split: Split
    channels: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    clinical_scale: dict[str, tuple[Finite, Finite]] = Field(default_factory=dict, exclude_if=lambda scale: not scale)

    def model_post_init(self, context: Any) -> None:
        """Check that each case is in exactly one part and each patient too."""
        super().model_post_init(context)
        keys = [case.case_key for case in self.cases]
        listed = [key for part in self.split.parts.values() for key in part]
        if len(set(keys)) != len(keys):
            # count is quadratic: of a large cohort it is only said that there are some.
            twice = sorted({key for key in keys if keys.count(key) > 1}) if len(keys) < 10_000 else "several"
            raise ValueError(f"expected every case key once in a cohort, got twice: {twice}")
        if sorted(keys) != sorted(listed):
            odd = sorted(set(keys) ^ set(listed))[:5] or "a case twice"
            raise ValueError(
                f"expected the split to hold each case of the cohort exactly once, got {len(listed)} for {len(keys)} cases: {odd}"
            )
        # When the record is made, so that no code can come to hold a split that leaks.
        shared = shared_patients(self)
        if shared:
            raise LeakageError("PATIENT_IN_TWO_PARTS", f"expected each patient in one part of the split, got {shared[:5]} in two or more")
        if any(case.label is not None and case.label >= len(self.classes) for case in self.cases):
            raise ValueError(f"expected labels below {len(self.classes)} (classes {self.classes})")

    def part(self, part: Part) -> tuple[Case, ...]:
        """Return the cases of one part, in cohort order."""
        wanted = set(self.split.parts.get(part, ()))
        return tuple(case for case in self.cases if case.case_key in wanted)


def shared_patients(cohort: Cohort) -> list[str]:
    """Return the patient keys that occur in more than one part."""
    part_of = cohort.split.part_of()
    seen: dict[str, set[Part]] = {}
    for case in cohort.cases:
        seen.setdefault(case.patient_key, set()).add(part_of[case.case_key])
    return sorted(patient for patient, parts in seen.items() if len(parts) > 1)


class LeakageCertificate(VersionedRecord):
    """Result of the leakage checks of one cohort (``medkd.cohorts.split.certify``); no certificate, no registration.

    Between parts nothing may be shared: patients, studies, frames of reference, images (equal pixels), pictures of different patients that
    look the same (pairs of case keys). ``normalisation`` says where intensities are scaled from: ``per case`` needs no other case.
    """

    SCHEMA: ClassVar[str] = "leakage_certificate/2"
    cohort_digest: Sha256
    patients: dict[Part, int]
    shared_patients: tuple[Key, ...]
    shared_pixel_digests: tuple[Sha256, ...]
    teacher_saw_test_patients: tuple[Key, ...] = ()
    shared_studies: tuple[Key, ...] = ()
    shared_frames: tuple[Key, ...] = ()
    near_duplicates: tuple[tuple[Key, Key], ...] = ()
    hashed: int = Field(default=0, ge=0)
    normalisation: str = "per case"

    @property
    def clean(self) -> bool:
        """True when nothing is shared."""
        return not self.problems()

    def problems(self) -> dict[str, tuple[str, ...]]:
        """Return what is shared, by kind; keys are pseudonyms."""
        found = {
            "patients": self.shared_patients,
            "patients that the teacher was trained on": self.teacher_saw_test_patients,
            "images": self.shared_pixel_digests,
            "studies": self.shared_studies,
            "frames of reference": self.shared_frames,
            "look-alikes of different patients": tuple("~".join(pair) for pair in self.near_duplicates),
        }
        return {kind: shared for kind, shared in found.items() if shared}


class TrainingManifest(VersionedRecord):
    """Whose data a model was trained on: pseudonymous patient keys, so that nobody is tested on a model that has seen them.

    Travels with every registered version; for a student it holds the teacher's patients too: what the teacher saw, the student was told.
    """

    SCHEMA: ClassVar[str] = "training_manifest/1"
    cohorts: tuple[Sha256, ...]
    patients: tuple[Key, ...]


class CohortUse(FrozenModel):
    """A part of a stored cohort, as one subset of a run uses it."""

    cohort: Ref
    part: Part


class CohortSet(VersionedRecord):
    """Which cohort each subset of a run is, by :class:`Subset`.

    Subsets: ``teacher_train``, ``teacher_validation``, ``student_train/SEED``, ``unlabelled/SEED``, ``test`` (same bias as the
    students' training), and where they exist ``debiased``, ``reversed``, ``marker_pairs``.
    """

    SCHEMA: ClassVar[str] = "cohort_set/2"
    uses: dict[str, CohortUse]
    certificates: tuple[LeakageCertificate, ...]

    def only(self, *subsets: str) -> CohortSet:
        """Return the set with some subsets (those it has), and the certificates of their cohorts: what depends on nothing else."""
        uses = {subset: use for subset, use in self.uses.items() if subset in subsets}
        # A certificate of a cohort that is not used must not be in the key of what does not depend on it.
        kept = {use.cohort.sha256 for use in uses.values()}
        return CohortSet(uses=uses, certificates=tuple(c for c in self.certificates if c.cohort_digest in kept))

"""Drift without labels: what is measured of a study, the reference of a model version, and what windows of recent studies say."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import Field

from data_contracts.record import Finite, FrozenModel, Key, Sha256, VersionedRecord

#: Which way a feature moved.
Direction = Literal["up", "down", "wider", "narrower", "undefined more often", "undefined less often"]


class FeatureFamily(StrEnum):
    """What features are of: the images as the model sees them, its predictions, and where its attributions lie."""

    IMAGES = "images"
    PREDICTIONS = "predictions"
    ATTRIBUTION = "attribution"


class StudyProfile(FrozenModel):
    """What drift is looked for in, of one study and one model. No key of a patient or a study, and no voxel.

    Attributes:
        images: feature → value, None where it is undefined.
        predictions: the same of the model's answer.
        attribution: the same of its maps.
        tags: what the images are called: modality, unit, kind of acquisition.
    """

    images: dict[str, Finite | None]
    predictions: dict[str, Finite | None]
    attribution: dict[str, Finite | None]
    tags: dict[str, str] = Field(default_factory=dict)

    def of(self, family: FeatureFamily) -> dict[str, float | None]:
        """Return the features of a family."""
        found: dict[str, float | None] = getattr(self, family.value)
        return found


class ProfiledStudy(VersionedRecord):
    """The profile of one study on a site's worklist, kept so that it is made once.

    Attributes:
        series_key: pseudonym of the series.
        patient_key: pseudonym of its patient: windows are compared by patients.
        model: URI of the version that was asked.
        weights_digest: of its network.
        profile: what was measured.
    """

    SCHEMA: ClassVar[str] = "profiled_study/1"
    series_key: Key
    patient_key: Key
    model: str
    weights_digest: Sha256
    profile: StudyProfile


class DriftReference(VersionedRecord):
    """What studies were like that a model version was judged on: what windows of later studies are compared with.

    Attributes:
        model: URI of the version.
        weights_digest: of its network.
        measure: what ``performance`` is.
        patients: number of the patient of each study, counted from 0 in the order of the store; pseudonyms stay with the store.
        studies: the profiles.
        performance: per study, None without a label.
        training_patients_left_out: studies of the store whose patients the model was trained on: a model is surer of those.
        refused: codes of the studies that could not be profiled, each with how many.
    """

    SCHEMA: ClassVar[str] = "drift_reference/1"
    model: str
    weights_digest: Sha256
    measure: Literal["dice", "accuracy"]
    patients: tuple[int, ...]
    studies: tuple[StudyProfile, ...]
    performance: tuple[Finite | None, ...]
    training_patients_left_out: int = Field(default=0, ge=0)
    refused: dict[str, int] = Field(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        """Every study has a patient and a performance, which may be unknown."""
        super().model_post_init(context)
        if not len(self.patients) == len(self.studies) == len(self.performance):
            raise ValueError(
                f"expected a patient and a performance for each of {len(self.studies)} studies, got {len(self.patients)} and {len(self.performance)}"
            )


class MovedFeature(FrozenModel):
    """A feature that moved.

    Attributes:
        name: of the feature.
        distance: Kolmogorov-Smirnov distance of window and reference, 0 to 1.
        p: of that distance among all features of the family.
        direction: which way.
        reference: median of the reference, None where it is mostly undefined.
        window: median of the window.
    """

    name: str
    distance: Finite = Field(ge=0, le=1)
    p: Finite = Field(ge=0, le=1)
    direction: Direction
    reference: Finite | None
    window: Finite | None


class FamilyDrift(FrozenModel):
    """One family of features in one window.

    Attributes:
        family: which.
        energy_distance: of window and reference, over the ranks of all its features.
        excess: the same less its mean over permutations, in their standard deviations.
        p: of energy distance and largest Kolmogorov-Smirnov distance together, among all families.
        e_process: evidence gathered over the windows so far (:mod:`medkd.drift.e_detector`).
        features: how many were compared.
        moved: the features that moved, the surest first.
    """

    family: FeatureFamily
    energy_distance: Finite
    excess: Finite
    p: Finite = Field(ge=0, le=1)
    e_process: Finite = Field(ge=0)
    features: int = Field(ge=0)
    moved: tuple[MovedFeature, ...] = ()


class PerformanceEstimate(FrozenModel):
    """What the model's performance is estimated to be, without labels.

    Attributes:
        method: ``atc`` (Garg et al. 2022) of a classifier, ``doc`` (Guillory et al. 2021) of a segmenter's Dice.
        measure: what is estimated.
        reference: measured on the labelled studies of the reference.
        window: estimated.
    """

    method: Literal["atc", "doc"]
    measure: Literal["dice", "accuracy"]
    reference: Finite
    window: Finite


class WindowDrift(FrozenModel):
    """One window of studies beside the reference.

    Attributes:
        number: of the window, from 1.
        studies: how many.
        patients: of how many patients.
        first_at: when its first study was put on the worklist.
        last_at: when its last was.
        p: over all families.
        alarm: whether the window alone, or the evidence gathered so far, passed its threshold.
        first_family: which family moved first, None without an alarm.
        order: the families whose evidence passed a threshold up to here, in the order in which they did.
        families: each of the three.
        performance: estimated, None where the reference has no labels.
    """

    number: int = Field(ge=1)
    studies: int = Field(ge=1)
    patients: int = Field(ge=1)
    first_at: datetime | None = None
    last_at: datetime | None = None
    p: Finite = Field(ge=0, le=1)
    alarm: bool
    first_family: FeatureFamily | None
    order: tuple[FeatureFamily, ...] = ()
    families: tuple[FamilyDrift, ...]
    performance: PerformanceEstimate | None = None


class DriftReport(VersionedRecord):
    """All windows of a model at a site so far.

    Attributes:
        model: URI of the version.
        reference_digest: of what they were compared with.
        alarm_rate: how often clean windows may raise an alarm, over all families.
        window_studies: studies of a window.
        permutations: drawn per window.
        windows: the oldest first.
        waiting: studies of the window that is not complete.
    """

    SCHEMA: ClassVar[str] = "drift_report/1"
    model: str
    reference_digest: Sha256
    alarm_rate: Finite = Field(gt=0, lt=1)
    window_studies: int = Field(ge=2)
    permutations: int = Field(ge=1)
    windows: tuple[WindowDrift, ...] = ()
    waiting: int = Field(default=0, ge=0)

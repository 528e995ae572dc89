"""Features of the training cases of a version, kept beside it, and the training cases that a finding of a study lies nearest to."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from data_contracts.record import Finite, FrozenModel, Key, Ref, Sha256, VersionedRecord
from data_contracts.task import TaskKind


class TrainingItem(FrozenModel):
    """What one row of the features is of: a training case or, of a model that segments, one component that it outlines in a training case.

    Attributes:
        case_key: pseudonym of the case.
        patient_key: pseudonym of its patient.
        label: class that the case is labelled with, or class of the component; empty of a case without a label.
        voxels: of the component on the network's grid; absent of a case that is classified.
        volume_ml: of the component; absent where spacing is not known.
    """

    case_key: Key
    patient_key: Key
    label: str = ""
    voxels: int | None = Field(default=None, ge=1, exclude_if=lambda found: found is None)
    volume_ml: Finite | None = Field(default=None, exclude_if=lambda found: found is None)


class TrainingFeatures(VersionedRecord):
    """Pooled features of what a version was trained on: pseudonyms and numbers, no picture and no voxel.

    ``array`` is a safetensors file with float32 ``features`` [item, feature] and float32 ``nearest`` [item]: the Euclidean distance of each item
    to the nearest item of another patient, of models that segment within its class; infinite where there is none.

    Attributes:
        weights_digest: of the network.
        cohort_digest: of the cohorts that it was trained with.
        kind: segmentation compares components of one class, classification whole pictures.
        layer: whose features were pooled.
        pooling: ``mean`` over the picture, or ``mask``, the mean within the component.
        cases: training cases that were asked about; at most as many as are kept of a version.
        items: what each row is of.
        quantiles: 50, 90, 95 and 99 % of the finite distances in ``nearest``, by their percentage; empty where there is none.
        array: the file.
    """

    SCHEMA: ClassVar[str] = "training_features/1"
    weights_digest: Sha256
    cohort_digest: Sha256
    kind: TaskKind
    layer: str
    pooling: str
    cases: int = Field(ge=0)
    items: tuple[TrainingItem, ...]
    quantiles: dict[str, Finite] = Field(default_factory=dict)
    array: Ref

    @property
    def patients(self) -> int:
        """Return how many patients the items are of."""
        return len({item.patient_key for item in self.items})


class SimilarCase(FrozenModel):
    """A training case, or a component in one, and how far it is; whose it is, is said by where it stands in :class:`SimilarCases`.

    Attributes:
        case_key: pseudonym of the case.
        label: as of :class:`TrainingItem`.
        voxels: as of :class:`TrainingItem`.
        volume_ml: as of :class:`TrainingItem`.
        distance: Euclidean distance of the pooled features, as a multiple of the median distance that training items have to their nearest of
            another patient.
    """

    case_key: Key
    label: str = ""
    voxels: int | None = Field(default=None, ge=1, exclude_if=lambda found: found is None)
    volume_ml: Finite | None = Field(default=None, exclude_if=lambda found: found is None)
    distance: Finite = Field(ge=0)


class SimilarCases(FrozenModel):
    """The training items that a finding's features lie nearest to.

    Attributes:
        explanation: place of the explanation in the report, from 0.
        number: of the finding.
        layer: whose features were compared.
        compared: training items that were compared with: those of other patients, of a model that segments those of the class.
        patients: whose they are.
        cases: the nearest of other patients, nearest first.
        same_patient: the nearest of the study's own patient, where the model was trained on some; nearest first.
        nearer: share of the training items whose nearest of another patient is nearer than the finding's; absent where there are too few.
    """

    explanation: int = Field(ge=0)
    number: int = Field(ge=1)
    layer: str
    compared: int = Field(ge=0)
    patients: int = Field(ge=0)
    cases: tuple[SimilarCase, ...] = ()
    same_patient: tuple[SimilarCase, ...] = Field(default=(), exclude_if=lambda found: not found)
    nearer: Finite | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> SimilarCases:
        for found in (self.cases, self.same_patient):
            apart = [one.distance for one in found]
            if apart != sorted(apart):
                raise ValueError(f"expected the nearest training case first, got distances {apart}")
        return self

"""What a teacher knows about a cohort, as an artefact."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from data_contracts.model import Lineage
from data_contracts.record import Finite, Key, Ref, Sha256, VersionedRecord
from data_contracts.task import Task
from data_contracts.training_config import TrainingConfig
from data_contracts.training_recipe import ExtractionConfig


class KnowledgeRef(VersionedRecord):
    """Knowledge of one teacher about some cases; another teacher's digest is refused when it is resumed or distilled from.

    Attributes:
        teacher_digest: sha256 of the teacher's weights.
        task: the teacher's: its classes, and the windows that it saw.
        config: what was extracted, completed by what the arms asked for.
        views: how views were drawn where they were (augmentation, patches); None for clean images.
        cohorts: sha256 of the cohorts whose cases were asked about.
        patients: whom the teacher was trained on: nobody of them may test a student of this knowledge.
        cases: number of cases.
        entries: cases times views.
        layers: stored layers, shallow to deep, with the shape [1, features, *cells] for an image of the task's size.
        maps: stored attribution maps, by key.
        head_bias: of a segmentation whose class maps are its logits less this bias; empty where class maps are stored, or none exist.
        payload_bytes: bytes of the stored logits.
        raw_bytes: bytes of the same logits as float32.
        bytes: of all shards, indices included.
        measured: how far the replayed logits are from the live ones on some cases: ``kl``, ``argmax_agreement``.
        shards: where it lies.
        teacher: registered version of the teacher, ``NAME/VERSION@DIGEST``, where it is registered.
    """

    SCHEMA: ClassVar[str] = "knowledge/2"
    teacher_digest: Sha256
    task: Task
    config: ExtractionConfig
    views: TrainingConfig | None = None
    cohorts: tuple[Sha256, ...]
    patients: tuple[Key, ...] = ()
    cases: int = Field(ge=1)
    entries: int = Field(ge=1)
    layers: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    maps: tuple[str, ...] = ()
    head_bias: tuple[Finite, ...] = ()
    payload_bytes: int = Field(default=0, ge=0)
    raw_bytes: int = Field(default=0, ge=0)
    bytes: int = Field(default=0, ge=0)
    measured: dict[str, Finite] = Field(default_factory=dict)
    shards: tuple[Ref, ...]
    teacher: Lineage | None = None

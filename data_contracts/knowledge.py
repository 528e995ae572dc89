"""What a teacher knows about a cohort, as an artefact."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from data_contracts.record import Record, Ref, Sha256, Value


class StoredView(Value):
    """One sample under one transform: where its logits, features and attributions lie."""

    sample_digest: Sha256
    transform_digest: Sha256
    array: Ref


class KnowledgeRef(Record):
    """Knowledge of one teacher about one cohort. Another teacher's digest is refused when it is resumed or distilled."""

    SCHEMA: ClassVar[str] = "knowledge/1"
    teacher_digest: Sha256
    cohort_digest: str
    heads: tuple[str, ...] = ("default",)
    taps: tuple[str, ...] = ()
    explainers: tuple[str, ...] = ()
    views: tuple[StoredView, ...] = Field(default=())

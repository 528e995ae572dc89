"""Feedback: what a reader said of a report. Append-only; nothing is edited, a correction supersedes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from data_contracts.record import Finite, FrozenModel, Key, Sha256, VersionedRecord


class LesionVerdict(FrozenModel):
    """A reader's verdict on one lesion: the prediction, and separately its explanation."""

    tracking_id: str
    prediction: Literal["agree", "disagree", "unsure"]
    explanation: Literal["accepted", "rejected", "corrected", "not_judged"]
    reason_codes: tuple[str, ...] = ()
    corrected_mask_sha256: Sha256 | None = None


class Feedback(VersionedRecord):
    """One signed line of the feedback chain; ``previous`` is the digest of the line before."""

    SCHEMA: ClassVar[str] = "feedback/1"
    report_digest: Sha256
    reviewer_key: Key
    reviewer_role: str
    own_read: Literal["lesion present", "lesion absent", "unsure"]
    verdicts: tuple[LesionVerdict, ...]
    likert: dict[str, int] = Field(default_factory=dict)
    comment: str = Field(default="", max_length=2000)
    seconds_on_page: Finite = Field(default=0.0, ge=0)
    language: str = "en"
    supersedes: Sha256 | None = None
    previous: Sha256 | None = None

"""What a reader asks of one place of a study, and the answer: "what supports this class here?" """

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from data_contracts.explanation import Voxel
from data_contracts.record import Finite, Key, Sha256, VersionedRecord


class ExplanationQuestion(VersionedRecord):
    """A question; who asks is not part of it, so that the same one is answered once. Its digest is its id.

    Attributes:
        report: digest of the report that the reader has before them.
        explanation: digest of the explanation in that report whose model is asked.
        study_key: of the study.
        place: slice, row and column of the study.
        class_name: whose support is asked for; None for the class that the model gives there.
    """

    SCHEMA: ClassVar[str] = "explanation_question/1"
    report: Sha256
    explanation: Sha256
    study_key: Key
    place: Voxel
    class_name: str | None = Field(default=None, max_length=80)


class ExplanationAnswer(VersionedRecord):
    """How a question ended: with an explanation that was kept and registered, or with why there is none.

    Attributes:
        question: digest of the question.
        explanation: digest of the record that was kept.
        content_id: name of its folder.
        code: of the refusal.
        reason: in one sentence.
        seconds: that the answer took.
    """

    SCHEMA: ClassVar[str] = "explanation_answer/1"
    question: Sha256
    explanation: Sha256 | None = None
    content_id: Key | None = None
    code: str = ""
    reason: str = ""
    seconds: Finite = Field(ge=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.explanation is None) == (self.code == "") or (self.explanation is None) != (self.content_id is None):
            raise ValueError(f"expected an explanation with its folder or the code of a refusal, got {self.explanation} and {self.code!r}")
        return self

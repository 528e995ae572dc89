"""Questions of readers about a place: who may ask, what was asked, and the answer as pictures. A worker elsewhere holds the models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from data_contracts import (
    DataError,
    ExplanationAnswer,
    ExplanationQuestion,
    MedkdError,
    StudyExplanation,
    load_record,
    map_name,
)
from medkd.explanation.questions import QuestionQueue, QuestionState
from medkd.explanation.wording import failed_mark
from medkd.pictures.colours import blend, grey, heat
from medkd.review.ask_form import AskedBefore, AskForm, models_asked
from medkd.review.orientation_marks import views_of
from medkd.review_server.reading import ReadState
from medkd.review_server.sessions import Session
from medkd.review_server.studies import ServedStudy
from medkd.storage.store import sha256_file

#: Files of a kept explanation.
RECORD, ARRAYS = "explanation.json", "maps.safetensors"
#: How far the square round the asked pixel lies from it, and its colour.
RING, MARKED = 4, (0, 229, 255)
#: Questions that a page lists.
MOST_LISTED = 20


class Questions:
    """What readers asked, and the answers.

    Args:
        folder: of the queue.
        after_sign_off: whether only who has signed may ask: where some reports are wrong on purpose, an answer would tell which.
    """

    def __init__(self, folder: Path, *, after_sign_off: bool) -> None:
        self.queue, self._after = QuestionQueue(folder), after_sign_off

    def form(self, study: ServedStudy, state: ReadState, session: Session) -> AskForm | None:
        """Return the form of a study's page; None before the own read is locked."""
        if state.own_read is None:
            return None
        shape = study.report.volume.geometry.shape
        return AskForm(
            action=f"/study/{study.key}/ask",
            csrf=session.csrf,
            models=models_asked(study.report),
            shape=(shape[0], shape[1], shape[2]),
            asked=self._before(study),
            open=self.may_ask(state),
            worker=self.queue.has_worker(),
        )

    def may_ask(self, state: ReadState) -> bool:
        """Return whether a reader may ask about a study now."""
        return state.own_read is not None and (state.judgement is not None or not self._after)

    def _before(self, study: ServedStudy) -> tuple[AskedBefore, ...]:
        found = [one for one in self.queue.asked() if one.report == study.digest][:MOST_LISTED]
        return tuple(
            AskedBefore(
                f"/study/{study.key}/asked/{one.digest()}", (one.place[0] + 1, one.place[1] + 1, one.place[2] + 1), one.class_name or ""
            )
            for one in found
        )

    def ask(self, study: ServedStudy, state: ReadState, explanation: str, place: tuple[int, int, int], class_name: str) -> str:
        """Put a question into the queue and return its id.

        Raises:
            DataError: ``ASK_NOT_YET``, ``ASK_PLACE``, ``ASK_MODEL``; ExplanationError: ``QUEUE_FULL``.
        """
        if not self.may_ask(state):
            raise DataError(
                "ASK_NOT_YET", f"expected the own read and the sign-off before a question, this study is {state.status}; sign first"
            )
        shape = study.report.volume.geometry.shape
        if any(not 0 <= at < size for at, size in zip(place, shape, strict=True)):
            raise DataError("ASK_PLACE", f"expected slice, row and column within {shape}, got {tuple(at + 1 for at in place)}")
        known = {one.explanation: one for one in models_asked(study.report)}
        if explanation not in known or class_name not in ("", *known[explanation].classes):
            raise DataError("ASK_MODEL", f"expected one of {len(known)} models of the report and a class of it, got another")
        question = ExplanationQuestion(
            report=study.digest,
            explanation=explanation,
            study_key=study.report.volume.study_key,
            place=place,
            class_name=class_name or None,
        )
        return self.queue.ask(question)

    def found(self, study: ServedStudy, name: str) -> tuple[ExplanationQuestion, QuestionState]:
        """Return a question of a study and where it is.

        Raises:
            DataError: ``UNKNOWN``.
        """
        question = self.queue.question(name)
        if question is None or question.report != study.digest:
            raise DataError("UNKNOWN", f"expected the id of a question about this study, got {len(name)} characters that are none")
        return question, self.queue.state(name)

    def record(self, answer: ExplanationAnswer) -> StudyExplanation:
        """Return the explanation of an answer, its bytes as they were kept.

        Raises:
            DataError: ``ANSWER_ALTERED``.
        """
        folder = self.queue.folder_of(answer)
        try:
            record = load_record(folder / RECORD, StudyExplanation)
            whole = record.digest() == answer.explanation and sha256_file(folder / ARRAYS) == record.array.sha256
        except (MedkdError, OSError):
            whole = False
        if not whole:
            raise DataError("ANSWER_ALTERED", f"expected the explanation {answer.content_id} as it was kept, got other bytes; ask again")
        return record


def picture_of(questions: Questions, study: ServedStudy, answer: ExplanationAnswer, role: str, index: int) -> NDArray[np.uint8]:
    """Return a slice of the study under a map of the answer, uint8 [row, column, 3].

    Args:
        questions: that hold the answer.
        study: that was asked about.
        answer: to the question.
        role: ``student``, or ``teacher`` where there is one.
        index: of the slice.

    Raises:
        DataError: ``UNKNOWN`` for a map or a slice that is not there.
    """
    record = questions.record(answer)
    explainer = record.request.explainers[0].name
    names = {ref.model_role: map_name(0, ref.model_role, explainer) for ref in record.maps}
    if role not in names or not 0 <= index < record.volume.geometry.shape[0]:
        raise DataError("UNKNOWN", f"expected a map of the answer and one of its slices, got number {index}")
    with safe_open(questions.queue.folder_of(answer) / ARRAYS, framework="numpy") as arrays:
        limit = max(float(np.abs(arrays.get_tensor(name)).max()) for name in names.values())
        plane = arrays.get_slice(names[role])[index]
    failed = failed_mark(record.failed_checks(explainer), record.structures)
    pixels = blend(grey(study.arrays().plane(0, index), study.report.window), heat(plane, limit, failed=bool(failed)))
    if record.request.place is not None and record.request.place[0] == index:
        _ring(pixels, record.request.place[1:])
    view = next(one for one in views_of(study.report.volume.geometry) if one.axis == 0)
    # The colours are no axis of the volume: each is turned as the slice is drawn.
    return np.stack([view.slice_of(pixels[None, ..., colour], 0) for colour in range(3)], axis=-1)


def _ring(pixels: NDArray[np.uint8], place: tuple[int, int]) -> None:
    """Draw a square round the pixel that was asked about."""
    rows, columns = np.indices(pixels.shape[:2])
    pixels[np.maximum(np.abs(rows - place[0]), np.abs(columns - place[1])) == RING] = MARKED


def words_of(record: StudyExplanation) -> dict[str, Any]:
    """Return what the page of an answer says: explainer, the class that was explained, failed tests, and where the map is highest."""
    explainer, first = record.request.explainers[0].name, next((one for one in record.maps if one.model_role == "student"), None)
    peak = None if first is None or not first.peaks else tuple(at + 1 for at in first.peaks[0].voxel)
    return {
        "explainer": explainer,
        "failed": failed_mark(record.failed_checks(explainer), record.structures),
        "peak": peak,
        "index": None if first is None else first.target.options.get("index"),
        "roles": [ref.model_role for ref in sorted(record.maps, key=lambda ref: ref.model_role)],
        "model": f"{record.model.name}/{record.model.version}",
    }

"""A worker with the model answers what readers ask; each answer is an explanation that is kept and registered."""

from __future__ import annotations

import time
from pathlib import Path

from data_contracts import (
    ExplanationAnswer,
    ExplanationError,
    ExplanationQuestion,
    ExplanationRequest,
    MedkdError,
    ReviewReport,
    StudyExplanation,
    load_record,
)
from medkd.explanation.artefact import ask_registry, attach_study, keep, read_explanation
from medkd.explanation.explain_study import LoadedModel, explain_study
from medkd.explanation.of_registry import read_volume
from medkd.explanation.questions import EXPLANATIONS, QuestionQueue
from medkd.inference.training_caveats import require_permitted
from medkd.registry.interface import Registry
from medkd.storage.store import Store

REPORT = "report.json"


class QuestionWorker:
    """Answers questions about the studies of a folder of reports.

    Args:
        queue: that the questions are in.
        reports: folder below which ``report.json`` files lie.
        store: of the studies' volumes.
        registry: of the models.
        seconds: that an answer may take; explainers that draw samples draw fewer then.
    """

    def __init__(self, queue: QuestionQueue, reports: Path, store: Store, registry: Registry, seconds: float | None = None) -> None:
        self._queue, self._reports, self._store, self._registry, self._seconds = queue, reports, store, registry, seconds
        self._found: dict[str, ReviewReport] = {}
        self._models: dict[tuple[str, str | None], LoadedModel] = {}

    def answer_next(self) -> bool:
        """Answer the question that waits longest; return whether there was one. A question that cannot be answered is told why."""
        question = self._queue.take()
        if question is None:
            return False
        started = time.perf_counter()
        try:
            folder = self._explain(question)
            record, _ = read_explanation(folder)
            given = {"explanation": record.digest(), "content_id": folder.name}
        except MedkdError as error:
            given = {"code": error.code, "reason": str(error)}
        self._queue.answer(ExplanationAnswer(question=question.digest(), seconds=time.perf_counter() - started, **given))
        return True

    def run(self, *, until_empty: bool = False, pause_s: float = 0.5) -> int:
        """Answer questions until the process is stopped, or until none waits; return how many were answered."""
        answered = 0
        while True:
            if self.answer_next():
                answered += 1
            elif until_empty:
                return answered
            else:
                time.sleep(pause_s)

    def _explain(self, question: ExplanationQuestion) -> Path:
        about = self._about(question)
        loaded = self._loaded(about)
        require_permitted(about.volume, loaded.checkpoint.domain)
        images = read_volume(self._store, about.volume)
        request = ExplanationRequest(
            explainers=about.request.explainers[:1], seconds=self._seconds, place=question.place, class_name=question.class_name
        )
        made = explain_study(images, loaded, request)
        folder = keep(made, self._queue.folder / EXPLANATIONS)
        attach_study(self._registry, loaded.model, folder)
        return folder

    def _about(self, question: ExplanationQuestion) -> StudyExplanation:
        """Return the explanation that a question is about.

        Raises:
            ExplanationError: ``REPORT_UNKNOWN``.
        """
        if question.report not in self._found:
            self._found = {one.digest(): one for one in (load_record(path, ReviewReport) for path in self._reports.rglob(REPORT))}
        report = self._found.get(question.report)
        about = next((one for one in report.explanations if one.digest() == question.explanation), None) if report is not None else None
        if about is None:
            known = f"one of the {len(self._found)} reports here"
            raise ExplanationError("REPORT_UNKNOWN", f"expected an explanation of {known}, got {question.report[:12]}")
        return about

    def _loaded(self, about: StudyExplanation) -> LoadedModel:
        """Return the model that was asked, with the teacher it was compared with."""
        key = (about.model.uri, None if about.teacher is None else about.teacher.uri)
        if key not in self._models:
            loaded = ask_registry(self._registry, *key)
            if loaded.model.manifest_digest != about.model.manifest_digest:
                raise ExplanationError("REPLAY_MODEL", f"expected {about.model.uri} as it was explained, this registry has another")
            self._models[key] = loaded
        return self._models[key]

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import Entry, ExplanationQuestion, ExplanationRequest
from medkd.explanation import answer_questions as module
from medkd.explanation.answer_questions import QuestionWorker
from medkd.explanation.artefact import read_explanation
from medkd.explanation.explain_study import StudyImages, explain_study
from medkd.explanation.questions import QuestionQueue
from medkd.review.compose_report import compose_report
from medkd.review.shown import StudyArrays
from medkd.storage.store import Store
from tests.registry.memory_registry import MemoryRegistry


@pytest.fixture
def asking(loaded, make_volume, tmp_path, monkeypatch):
    """Return a queue, a worker at it, and a question about a study that was explained and reported."""
    values, volume = make_volume([np.s_[4:9, 5:12, 6:14]])
    made = explain_study(
        StudyImages(values, volume), loaded, ExplanationRequest(explainers=(Entry(name="saliency"), Entry(name="hires_cam")))
    )
    report = compose_report((made.record,), StudyArrays(values.numpy(), ({},)))
    report.write(tmp_path / "reports" / "s1" / "report.json")
    registry, queue = MemoryRegistry(), QuestionQueue(tmp_path / "queue")
    monkeypatch.setattr(module, "ask_registry", lambda *_: loaded)
    worker = QuestionWorker(queue, tmp_path / "reports", Store(tmp_path / "store"), registry)
    about = {"report": report.digest(), "explanation": made.record.digest(), "study_key": "t1"}
    return queue, worker, ExplanationQuestion(place=(6, 8, 9), **about), registry


def test_an_answer_is_kept_and_registered(asking, tmp_path):
    queue, worker, question, registry = asking
    name = queue.ask(question)
    assert worker.answer_next()
    assert not worker.answer_next()
    answer = queue.state(name).answer
    record, arrays = read_explanation(queue.folder / "explanations" / answer.content_id)
    assert record.digest() == answer.explanation
    assert record.request.place == (6, 8, 9)
    assert [one.tensor for one in record.maps] == ["map/0/student/saliency"], "by the explainer that the report shows first"
    assert float(arrays["map/0/student/saliency"][6, 8, 9]) > 0
    tags = registry.tags(record.model)
    assert [key for key in tags if key.startswith("medkd.explanation.")] == [f"medkd.explanation.{answer.content_id}"]
    assert "medkd.failed_explainers" not in tags, "that is said of what the model finds"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"report": "b" * 64}, "REPORT_UNKNOWN"),
        ({"explanation": "b" * 64}, "REPORT_UNKNOWN"),
        ({"place": (99, 0, 0)}, "PLACE_UNKNOWN"),
        ({"class_name": "dark"}, "CLASS_UNKNOWN"),
    ],
)
def test_who_asks_is_told_why_there_is_no_answer(asking, changes, code):
    queue, worker, question, _ = asking
    name = queue.ask(question.model_copy(update=changes))
    worker.answer_next()
    answer = queue.state(name).answer
    assert answer.code == code
    assert answer.reason.startswith("expected ")


def test_another_model_under_the_same_name_does_not_answer(asking, loaded, monkeypatch):
    queue, worker, question, _ = asking
    other = loaded.model.model_copy(update={"manifest_digest": "c" * 64})
    monkeypatch.setattr(module, "ask_registry", lambda *_: type(loaded)(other, loaded.checkpoint, loaded.network))
    name = queue.ask(question)
    worker.answer_next()
    assert queue.state(name).answer.code == "REPLAY_MODEL"


def test_a_worker_may_end_when_none_waits(asking):
    queue, worker, question, _ = asking
    names = [queue.ask(question), queue.ask(question.model_copy(update={"place": (99, 0, 0)}))]
    assert worker.run(until_empty=True) == 2
    assert [queue.state(name).answer.code for name in names] == ["", "PLACE_UNKNOWN"]
    assert [one.place for one in queue.asked()] == [(99, 0, 0), (6, 8, 9)]
    assert queue.question(names[0]) == question
    assert queue.question("../" + names[0]) is None

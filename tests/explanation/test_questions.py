from __future__ import annotations

import os
import threading
import time

import pytest

from data_contracts import ExplanationAnswer, ExplanationError, ExplanationQuestion
from medkd.explanation.questions import QuestionQueue, QueueLimits

SHA = "a" * 64


def question(number=0):
    return ExplanationQuestion(report=SHA, explanation=SHA, study_key="s-1", place=(number, 2, 3))


def refused(name):
    return ExplanationAnswer(question=name, code="CLASS_UNKNOWN", reason="expected bright", seconds=0.1)


def explained(name):
    return ExplanationAnswer(question=name, explanation=SHA, content_id="a" * 12, seconds=0.1)


@pytest.fixture
def queue(tmp_path):
    return QuestionQueue(tmp_path / "queue")


def test_questions_are_answered_in_the_order_in_which_they_came(queue):
    names = [queue.ask(question(number)) for number in range(3)]
    assert [queue.state(name).ahead for name in names] == [0, 1, 2]
    assert queue.take() == question(0)
    assert [queue.state(name).status for name in names] == ["working", "waiting", "waiting"]
    queue.answer(explained(names[0]))
    assert queue.state(names[0]).answer == explained(names[0])
    assert [queue.take(), queue.take(), queue.take()] == [question(1), question(2), None]


def test_the_same_question_is_answered_once_and_a_refused_one_may_be_asked_again(queue):
    name = queue.ask(question())
    assert queue.ask(question()) == name
    assert queue.take() == question()
    assert queue.ask(question()) == name
    assert queue.take() is None
    queue.answer(explained(name))
    queue.ask(question())
    assert queue.state(name).status == "answered"
    other = queue.ask(question(1))
    queue.take()
    queue.answer(refused(other))
    queue.ask(question(1))
    assert queue.state(other).status == "waiting"


def test_a_full_queue_says_so(tmp_path):
    queue = QuestionQueue(tmp_path, QueueLimits(most_waiting=2))
    for number in range(2):
        queue.ask(question(number))
    with pytest.raises(ExplanationError) as caught:
        queue.ask(question(2))
    assert caught.value.code == "QUEUE_FULL"
    assert queue.ask(question(0)) == question(0).digest(), "what waits already may be asked again"


def test_a_question_of_a_worker_that_died_is_given_to_another_and_refused_in_the_end(tmp_path):
    queue = QuestionQueue(tmp_path, QueueLimits(most_seconds=10, most_tries=2))
    name = queue.ask(question())
    for _ in range(2):
        assert queue.take() == question()
        old = time.time() - 11
        os.utime(tmp_path / "working" / f"{name}.json", (old, old))
    assert queue.take() is None
    assert queue.state(name).answer.code == "QUESTION_TIMED_OUT"
    assert list((tmp_path / "working").iterdir()) == []


def test_whether_a_worker_is_there_is_known(tmp_path):
    queue = QuestionQueue(tmp_path, QueueLimits(worker_seconds=10))
    assert not queue.has_worker()
    queue.take()
    assert queue.has_worker()
    old = time.time() - 11
    os.utime(tmp_path / "worker", (old, old))
    assert not queue.has_worker()
    queue.ask(question())
    queue.take()
    os.utime(tmp_path / "worker", (old, old))
    assert queue.has_worker(), "one that is at work gives no sign meanwhile"


def test_two_workers_never_take_the_same_question(queue):
    for number in range(40):
        queue.ask(question(number))
    taken = []

    def work():
        while (one := queue.take()) is not None:
            taken.append(one.place[0])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(taken) == list(range(40))


def test_a_question_that_nobody_asked_is_unknown(queue):
    assert queue.state(SHA).status == "unknown"


def test_the_queue_is_nobody_elses(queue):
    name = queue.ask(question())
    assert (queue.folder / "waiting" / f"{name}.json").stat().st_mode & 0o077 == 0
    assert (queue.folder / "waiting").stat().st_mode & 0o077 == 0

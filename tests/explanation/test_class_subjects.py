from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from data_contracts import ClassAnswer
from medkd.explanation.class_subjects import _answers, _subject, runs_of


def test_runs_are_neighbours_with_one_answer():
    assert runs_of(torch.tensor([1, 1, 0, 1])) == [(0, 1), (2, 2), (3, 3)]
    assert runs_of(torch.tensor([2])) == [(0, 0)]


def study_of(alignment):
    return SimpleNamespace(alignment=alignment, task=SimpleNamespace(classes=("benign", "malignant")))


def probabilities(*of_malignant):
    malignant = torch.tensor(of_malignant)
    return torch.stack([1 - malignant, malignant], 1)


def test_answers_where_something_is_marked_come_first_then_the_longest():
    own = probabilities(0.1, 0.2, 0.9, 0.7, 0.3, 0.1, 0.4)
    marked = torch.zeros(7, 2, 2, dtype=torch.uint8)
    marked[3, 0, 0] = 1
    answers = _answers({"student": own, "teacher": probabilities(*[0.5] * 7)}, study_of(None), marked)
    assert [(one.class_name, one.first_slice, one.last_slice) for one in answers] == [
        ("malignant", 2, 3), ("benign", 4, 6), ("benign", 0, 1),
    ]  # fmt: skip
    first = answers[0]
    assert (first.number, first.key_slice) == (1, 2)
    assert first.probability == pytest.approx(0.8)
    assert first.probabilities == pytest.approx({"benign": 0.2, "malignant": 0.8})
    assert first.teacher_probabilities == {"benign": 0.5, "malignant": 0.5}


def test_an_answer_about_a_volume_is_about_all_its_slices():
    (answer,) = _answers({"student": probabilities(0.75)}, study_of("a grid"), torch.zeros(9, 2, 2, dtype=torch.uint8))
    assert (answer.first_slice, answer.last_slice, answer.key_slice) == (0, 8, 4)
    assert answer.teacher_probabilities == {}


@pytest.mark.parametrize(("key", "span"), [(2, (2, 5)), (5, (4, 7)), (9, (7, 10)), (10, (7, 10))])
def test_of_a_long_answer_the_slices_round_its_surest_are_explained_and_no_others(key, span):
    answer = ClassAnswer(number=1, class_name="malignant", probability=0.9, first_slice=2, last_slice=9, key_slice=min(key, 9))
    marked = torch.ones(12, 2, 2, dtype=torch.uint8)
    subject = _subject(answer, marked, study_of(None), 3)
    assert (subject.span.start, subject.span.stop) == span
    assert subject.region.flatten(1).any(1).nonzero()[:, 0].tolist() == list(range(*span))
    assert subject.index == 1
    assert _subject(answer, marked, study_of(None), None).span == slice(2, 10)

"""Answers of a classifier: runs of slices in the order in which a reader wants them."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import ClassAnswer
from medkd.explanation.class_answers import answers_of, explained_slices, runs_of

NAMES = ("benign", "malignant")


def test_runs_are_neighbours_with_one_answer():
    assert runs_of(np.array([1, 1, 0, 1])) == [(0, 1), (2, 2), (3, 3)]
    assert runs_of(np.array([2])) == [(0, 0)]


def probabilities(*of_malignant):
    malignant = np.array(of_malignant, dtype=np.float32)
    return np.stack([1 - malignant, malignant], 1)


def test_answers_where_something_is_marked_come_first_then_the_longest():
    own = probabilities(0.1, 0.2, 0.9, 0.7, 0.3, 0.1, 0.4)
    marked = np.zeros((7, 2, 2), np.uint8)
    marked[3, 0, 0] = 1
    answers = answers_of({"student": own, "teacher": probabilities(*[0.5] * 7)}, NAMES, marked, whole=False)
    assert [(one.class_name, one.first_slice, one.last_slice) for one in answers] == [
        ("malignant", 2, 3), ("benign", 4, 6), ("benign", 0, 1),
    ]  # fmt: skip
    first = answers[0]
    assert (first.number, first.key_slice) == (1, 2)
    assert first.probability == pytest.approx(0.8)
    assert first.probabilities == pytest.approx({"benign": 0.2, "malignant": 0.8})
    assert first.teacher_probabilities == {"benign": 0.5, "malignant": 0.5}


def test_an_answer_about_a_volume_is_about_all_its_slices():
    (answer,) = answers_of({"student": probabilities(0.75)}, NAMES, np.zeros((9, 2, 2), np.uint8), whole=True)
    assert (answer.first_slice, answer.last_slice, answer.key_slice) == (0, 8, 4)
    assert answer.teacher_probabilities == {}


@pytest.mark.parametrize(("key", "span"), [(2, (2, 5)), (5, (4, 7)), (9, (7, 10))])
def test_of_a_long_answer_the_slices_round_its_surest_are_explained(key, span):
    answer = ClassAnswer(number=1, class_name="malignant", probability=0.9, first_slice=2, last_slice=9, key_slice=key)
    assert explained_slices(answer, 3) == span
    assert explained_slices(answer, None) == (2, 10)
    assert explained_slices(answer, 30) == (2, 10)

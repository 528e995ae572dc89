"""Teacher and student side by side: which cases both answer, what a lacking value counts as, and why nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import Calibration, ConformalBound
from medkd.evaluation.loss_pair import LossPair
from tests.evaluation.paired_results import STUDENT, TEACHER, pair_of, units_of


def classified(teacher, student, **options):
    return LossPair(*pair_of({"test": units_of(len(teacher), **options)}, {"test/probability": teacher}, {"test/probability": student}))


def test_results_with_probabilities_are_of_a_classification():
    assert classified([0.4], [0.6]).kind == "classification"
    assert LossPair(*pair_of({"test": units_of(1)}, {"test/dice": [0.5]}, {"test/dice": [0.5]})).kind == "segmentation"


def test_a_case_that_neither_has_is_counted_and_one_that_either_lacks_gets_what_stands_for_it():
    values = {"test/dice": [0.5, None, None, 0.7], "test/relevance_mass_accuracy": [0.5, None, None, 0.7]}
    student = {"test/dice": [0.4, 0.6, None, None], "test/relevance_mass_accuracy": [0.4, 0.6, None, None]}
    pair = LossPair(*pair_of({"test": units_of(4)}, values, student))
    rows, own, other, missing = pair.values("test/dice")
    assert (rows.tolist(), own.tolist(), other.tolist(), missing) == ([0, 1, 3], [0.5, 1.0, 0.7], [0.4, 0.6, 1.0], 1)
    _, own, other, _ = pair.values("test/relevance_mass_accuracy")
    assert (own.tolist(), other.tolist()) == ([0.5, 0.0, 0.7], [0.4, 0.6, 0.0])
    assert pair.values("test/agreement") is None


def test_what_one_of_them_was_not_tested_on_is_refused_with_the_reason():
    teacher, student = pair_of({"test": units_of(2)}, {"test/probability": [0.5] * 2}, {"test/probability": [0.5] * 2})
    pair = LossPair(teacher, student.model_copy(update={"cohorts": {"test": "f" * 64}}))
    assert pair.refusal("test") == "teacher and student were tested on other cases of 'test'"
    assert pair.refusal("uncued") == "there are no results on the test 'uncued'"
    assert LossPair(teacher, student).refusal("test") == ""
    assert pair.values("test/probability") is None
    assert pair.stated("test") == pair.answers("test") == pair.refusal("test")


def test_right_answers_are_on_the_side_of_the_label_and_unlabelled_cases_are_left_out():
    answers = classified([0.9, 0.4, 0.2], [0.3, 0.2, 0.9], labels=[1, 0, None]).answers("test")
    assert answers.rows.tolist() == [0, 1]
    assert [own.tolist() for own in answers.right] == [[True, True], [False, True]]
    assert answers.teacher.tolist() == pytest.approx([0.9, 0.6])
    assert answers.student.tolist() == pytest.approx([0.3, 0.8])
    assert (answers.missing, answers.classes) == (1, True)
    assert classified([0.9], [0.3], labels=[None]).answers("test") == "no case has a label"


def test_a_temperature_divides_the_logit_of_its_own_network_alone():
    calibration = Calibration(
        weights_digest=STUDENT, cohort_digest="d" * 64, subset="student_validation", method="temperature", scales=(0.5, 0.5),
        biases=(0.0, 0.0), patients=9, cases=9, samples=9, bound=ConformalBound(alpha=0.1, unit="positive", patients=9, units=9),
    )  # fmt: skip
    pair = LossPair(*pair_of({"test": units_of(1)}, {"test/probability": [0.8]}, {"test/probability": [0.8]}), (calibration,))
    # The odds 4 to 1 become 2 to 1 where the logit is halved.
    np.testing.assert_allclose(pair.probabilities(np.array([0.8]), STUDENT), [2 / 3])
    np.testing.assert_allclose(pair.probabilities(np.array([0.8]), TEACHER), [0.8])

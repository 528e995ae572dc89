from __future__ import annotations

import pytest

from medkd.loss_check.gradient_laws import depends_on_images, depends_on_weights, gradient_of_value, reaches_student
from tests.loss_check.faults import GOOD, HIDDEN_BESIDE_A_TASK, REGULARISES, THROUGH_NUMPY, UNDER_NO_GRAD


def test_the_published_faults_are_found_with_their_line(case_of):
    numpy, no_grad = reaches_student(case_of(THROUGH_NUMPY)), reaches_student(case_of(UNDER_NO_GRAD))
    assert numpy.verdict == no_grad.verdict == "broken"
    assert "the value carries no gradient at all: line 7 passes a tensor through numpy: student_map, teacher_map" in numpy.sentence
    assert "it is zero in every weight: line 6 asks the student under torch.no_grad()" in no_grad.sentence


def test_a_fault_beside_a_task_term_is_found_by_moving_the_weights(case_of):
    assert reaches_student(case_of(HIDDEN_BESIDE_A_TASK)).verdict == "holds"
    found = gradient_of_value(case_of(HIDDEN_BESIDE_A_TASK))
    assert found.verdict == "broken"
    assert "line 7 passes a tensor through numpy" in found.sentence
    meant = gradient_of_value(case_of(HIDDEN_BESIDE_A_TASK + '\nSTOPS_GRADIENT = "a constant that is logged"\n'))
    assert (meant.verdict, "a constant that is logged" in meant.sentence) == ("not applicable", True)


@pytest.mark.parametrize("law", [reaches_student, gradient_of_value, depends_on_images, depends_on_weights])
def test_a_good_loss_keeps_all(case_of, law):
    assert law(case_of(GOOD)).verdict == "holds"


def test_regularisation_reads_no_images(case_of):
    assert depends_on_images(case_of(REGULARISES)).verdict == "broken"
    linear = "def loss(student, teacher, images, labels):\n    return sum(p.sum() for p in student.parameters()) * images.mean()\n"
    assert depends_on_weights(case_of(linear)).verdict == "broken"


def test_a_number_carries_no_gradient(case_of):
    found = reaches_student(case_of("def loss(student, teacher, images, labels):\n    return student(images).mean().item()\n"))
    assert "makes a number of a tensor" in found.sentence

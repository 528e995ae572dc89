from __future__ import annotations

from medkd.loss_check.following_laws import beats_regularisation, lowers_itself
from tests.loss_check.faults import GOOD, HIDDEN_BESIDE_A_TASK, REGULARISES


def test_a_good_loss_falls_by_more_than_under_any_control(case_of):
    case = case_of(GOOD)
    assert lowers_itself(case).verdict == "holds"
    found = beats_regularisation(case)
    assert found.verdict == "holds"
    assert set(found.figures) == {"own", "weight_decay", "noise", "label_smoothing", "another_patients_teacher"}


def test_weight_decay_does_what_regularisation_does(case_of):
    found = beats_regularisation(case_of(REGULARISES))
    assert (found.verdict, "through weight decay" in found.sentence) == ("broken", True)


def test_a_teacher_of_whom_no_gradient_comes_is_as_good_as_another_patients(case_of):
    found = beats_regularisation(case_of(HIDDEN_BESIDE_A_TASK))
    assert (found.verdict, "through another patient's teacher" in found.sentence) == ("broken", True)


def test_a_value_that_rises_along_its_own_gradient_is_seen(case_of):
    turned = "def loss(student, teacher, images, labels):\n    out = student(images).square().mean()\n    return 2 * out.detach() - out\n"
    assert lowers_itself(case_of(turned)).verdict == "broken"

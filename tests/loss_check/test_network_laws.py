from __future__ import annotations

from medkd.loss_check.network_laws import given_back, teacher_unchanged
from tests.loss_check.faults import GOOD, LEAKS


def test_a_good_loss_leaves_both_alone(case_of):
    case = case_of(GOOD)
    assert [law(case).verdict for law in (teacher_unchanged, given_back)] == ["holds", "holds"]


def test_a_teacher_that_is_asked_with_its_graph_learns_along(case_of):
    found = teacher_unchanged(case_of(LEAKS))
    assert (found.verdict, "under torch.no_grad()" in found.sentence) == ("broken", True)


def test_statistics_that_move_are_seen_and_put_back(case_of):
    case = case_of(
        "def loss(student, teacher, images, labels):\n    return (student(images) - teacher.train()(images).detach()).square().mean()\n"
    )
    before = {name: value.clone() for name, value in case.teacher.state_dict().items()}
    assert "running_mean of the teacher changed" in teacher_unchanged(case).sentence
    assert all(bool((case.teacher.state_dict()[name] == value).all()) for name, value in before.items())
    assert "the mode (train, eval) of the teacher" in given_back(case).sentence


def test_hooks_that_stay_are_seen(case_of):
    source = "def loss(student, teacher, images, labels):\n    student.body.register_forward_hook(lambda *_: None)\n    return student(images).square().mean()\n"
    assert "hooks of the student" in given_back(case_of(source)).sentence

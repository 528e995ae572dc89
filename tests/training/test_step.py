from __future__ import annotations

import pytest
import torch

from data_contracts import LossTerm, Schedule
from medkd.knowledge.source import LiveSource
from medkd.trace import TEACHER_IMAGE
from medkd.training.objective import Objective
from medkd.training.step import DistillationStep, StepBatch


@pytest.fixture
def make_step(make_network, make_sample):
    def make(*terms, teacher=True):
        objective, student = Objective(terms), make_network(0)
        source = LiveSource(make_network(1).eval()) if teacher else None
        return DistillationStep(student, objective, source, objective.connect(student, source, make_sample(1).image), None)

    return make


def test_the_loss_is_the_weighted_sum_of_what_is_shown(make_step, make_sample):
    step = make_step(LossTerm(loss="cross_entropy", weight=0.5), LossTerm(loss="logit_kd", weight=2.0))
    total, shown = step(StepBatch(make_sample(3)))
    assert total.dtype is torch.float32
    assert float(total) == pytest.approx(0.5 * float(shown["cross_entropy"]) + 2 * float(shown["logit_kd"]), rel=1e-5)
    assert total.requires_grad
    assert not any(value.requires_grad for value in shown.values())
    assert set(shown) == {"cross_entropy", "logit_kd"}


def test_a_weight_that_follows_a_schedule_is_shown(make_step, make_sample):
    falling = Schedule(kind="linear", first=1.0, last=0.0)
    step, sample = make_step(LossTerm(loss="cross_entropy", weight=4.0, schedule=falling), teacher=False), make_sample(3)
    weights = [float(step(StepBatch(sample, share=share))[1]["weight/cross_entropy"]) for share in (0.0, 0.5, 1.0)]
    assert weights == pytest.approx([4.0, 2.0, 0.0])


def test_the_teacher_is_no_part_of_what_is_wrapped_saved_and_trained(make_step):
    step = make_step(LossTerm(loss="logit_kd"))
    students = {f"student.{name}" for name in step.student.state_dict()}
    assert set(step.state_dict()) == students


def test_the_student_sees_the_harder_image_and_the_teacher_the_easier_one(make_step, make_sample):
    step, sample = make_step(LossTerm(loss="logit_kd")).eval(), make_sample(3)
    easier = make_sample(3, seed=1).image
    both = make_sample(3, inputs={**sample.inputs, TEACHER_IMAGE: easier})
    same = make_sample(3, seed=1)
    with torch.no_grad():
        apart, alike = (float(step(StepBatch(one))[0]) for one in (both, same))
    assert apart != pytest.approx(alike)

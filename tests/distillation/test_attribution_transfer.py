from __future__ import annotations

import pytest
import torch

from medkd.attribution._attribute import attribute
from medkd.catalogue import EXPLAINERS
from medkd.distillation.attribution_transfer import attribution_transfer
from medkd.knowledge.interface import LiveKnowledge, RememberedKnowledge
from medkd.targets import class_margin, lesion_margin
from medkd.trace import anatomy_of, trace

DIFFERENTIABLE = [name for name in EXPLAINERS.names() if EXPLAINERS.entry(name).fact("DIFFERENTIABLE")]


def traced(network, sample):
    return trace(network, sample.inputs, layers=(anatomy_of(network).cam_layer,))


def question(teacher, sample, task):
    with torch.no_grad():
        answer = teacher(sample.image).argmax(1)
    return class_margin(answer) if task == "classification" else lesion_margin((answer > 0).to(torch.uint8))


@pytest.mark.parametrize("explainer", DIFFERENTIABLE)
def test_it_is_one_minus_the_cosine_of_the_maps_that_the_report_shows(make_network, make_sample, task, explainer):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    target = question(teacher, sample, task)
    value = attribution_transfer(traced(student, sample), LiveKnowledge(teacher, sample.inputs), sample, explainer=explainer, grid=32)
    mine, theirs = (attribute(n, sample.image, target, explainer=explainer).flatten(1).double() for n in (student, teacher))
    present = torch.ones(3) if task == "classification" else (theirs.abs().sum(1) > 0)
    cosine = torch.nn.functional.cosine_similarity(mine, theirs, dim=1)
    by_hand = ((1 - cosine) * present).sum() / present.sum()
    assert float(value) == pytest.approx(float(by_hand), abs=1e-4)


def test_frozen_statistics_give_the_reports_map_while_the_student_trains(make_network, make_sample, task):
    student, teacher, sample = make_network(0).train(), make_network(1).eval(), make_sample(3)
    knowledge = LiveKnowledge(teacher, sample.inputs)
    in_training = attribution_transfer(traced(student, sample), knowledge, sample, grid=32, frozen_statistics=True)
    assert all(module.training for module in student.modules())
    in_report = attribution_transfer(traced(student.eval(), sample), knowledge, sample, grid=32)
    assert float(in_training) == pytest.approx(float(in_report), abs=1e-5)


def test_the_question_is_the_teachers_answer_and_labels_play_no_part(make_network, make_sample):
    from dataclasses import replace

    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    first = attribution_transfer(traced(student, sample), LiveKnowledge(teacher, sample.inputs), sample)
    unlabelled = replace(sample, labels=None, masks=None)
    second = attribution_transfer(traced(student, unlabelled), LiveKnowledge(teacher, sample.inputs), unlabelled)
    assert float(first) == pytest.approx(float(second), abs=1e-7)


def test_a_teacher_that_sees_no_lesion_gives_a_differentiable_zero(make_sample, make_network, task):
    if task == "classification":
        pytest.skip("a classifier always answers")
    student, sample = make_network(0).train(), make_sample(2)
    nothing = torch.zeros(2, 2, 32, 32)
    nothing[:, 0] = 5
    knowledge = RememberedKnowledge(nothing, attributions={"cam": torch.zeros(2, 32, 32)})
    loss = attribution_transfer(traced(student, sample), knowledge, sample)
    loss.backward()
    assert float(loss) == 0.0
    assert all(bool(p.grad.isfinite().all()) for p in student.parameters() if p.grad is not None)


def test_following_the_gradient_brings_the_maps_together(make_network, make_sample):
    student, teacher, sample = make_network(0).train(), make_network(1).eval(), make_sample(4)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
    values = []
    for _ in range(12):
        loss = attribution_transfer(traced(student, sample), LiveKnowledge(teacher, sample.inputs), sample)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss))
    assert values[-1] < 0.5 * values[0]

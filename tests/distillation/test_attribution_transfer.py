from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medkd.attribution._attribute import attribute
from medkd.attribution.cam import cam
from medkd.catalogue import EXPLAINERS
from medkd.distillation._reduce import pooled
from medkd.distillation.attribution_transfer import attribution_transfer
from medkd.knowledge.interface import LiveKnowledge
from medkd.knowledge.targets import teacher_target
from medkd.targets import class_margin, lesion_margin
from medkd.trace import layer_map_of, trace
from tests.knowledge.precomputed import PrecomputedKnowledge

DIFFERENTIABLE = [name for name in EXPLAINERS.names() if EXPLAINERS.entry(name).fact("DIFFERENTIABLE")]


def traced(network, sample):
    return trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))


def question(teacher, sample, task):
    with torch.no_grad():
        answer = teacher(sample.image).argmax(1)
    return class_margin(answer) if task == "classification" else lesion_margin((answer > 0).to(torch.uint8))


@pytest.mark.parametrize("explainer", DIFFERENTIABLE)
def test_it_is_one_minus_the_cosine_of_the_maps_that_the_report_shows(make_network, make_sample, task, explainer):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    target = question(teacher, sample, task)
    value = attribution_transfer(traced(student, sample), LiveKnowledge(teacher, sample.inputs), sample, explainer=explainer, grid=32)
    student_values, teacher_values = (
        attribute(n, sample.image, target, explainer=explainer).flatten(1).double() for n in (student, teacher)
    )
    present = torch.ones(3) if task == "classification" else (teacher_values.abs().sum(1) > 0)
    cosine = torch.nn.functional.cosine_similarity(student_values, teacher_values, dim=1)
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
    knowledge = PrecomputedKnowledge(nothing, attributions={"cam": torch.zeros(2, 32, 32)})
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


def test_squared_is_one_for_a_silent_student_and_knows_the_scale(make_network, make_sample):
    """Twice the teacher's maps are as far away as no maps at all; the cosine sees no difference to the teacher."""
    teacher, sample = make_network(1).eval(), make_sample(4)
    knowledge = LiveKnowledge(teacher, sample.inputs)
    values = {}
    for factor in (0.0, 1.0, 2.0):
        student = make_network(1).eval()
        student.get_submodule(layer_map_of(student).head).weight.data *= factor
        kept = trace(student, sample.inputs, layers=(layer_map_of(student).cam_layer,))
        values[factor] = float(attribution_transfer(kept, knowledge, sample, distance="squared"))
    assert values == pytest.approx({0.0: 1.0, 1.0: 0.0, 2.0: 1.0}, abs=1e-5)


def test_squared_by_hand_over_the_cases_that_have_an_answer(make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    kept = trace(student, sample.inputs, layers=(layer_map_of(student).cam_layer,))
    knowledge = LiveKnowledge(teacher, sample.inputs)
    target, present = teacher_target(knowledge)
    assert bool(present.all())
    student_values, teacher_values = (pooled(m.detach().float(), 8) for m in (cam(kept, target), knowledge.attribution("cam", target)))
    wanted = (student_values - teacher_values).square().sum() / teacher_values.square().sum()
    assert float(attribution_transfer(kept, knowledge, sample, distance="squared")) == pytest.approx(float(wanted), rel=1e-5)


def test_voxels_of_weight_zero_do_not_count(make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    kept = trace(student, sample.inputs, layers=(layer_map_of(student).cam_layer,))
    knowledge = LiveKnowledge(teacher, sample.inputs)
    weights = torch.ones(3, 32, 32)
    weights[:, 16:] = 0
    target, _ = teacher_target(knowledge)
    maps = [pooled(m.detach().float(), 4)[:, :8] for m in (cam(kept, target), knowledge.attribution("cam", target))]
    value = attribution_transfer(kept, knowledge, replace(sample, voxel_weights=weights), grid=4)
    assert float(value) == pytest.approx(float((1 - torch.nn.functional.cosine_similarity(*maps)).mean()), abs=1e-5)

from __future__ import annotations

import pytest
import torch

from medkd.distillation.logit_kd import logit_kd
from medkd.trace import Sample, Trace
from tests.knowledge.precomputed import PrecomputedKnowledge


def traced(logits):
    return Trace(model=torch.nn.Identity(), inputs={"image": torch.zeros(len(logits), 1, 6, 6)}, outputs={"default": logits})


def batch(n):
    return Sample(inputs={"image": torch.zeros(n, 1, 6, 6)})


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 10.0])
def test_it_is_the_tempered_divergence_from_teacher_to_student(logits, temperature):
    student, teacher = logits
    p, q = ((x.double() / temperature).softmax(1) for x in (teacher, student))
    by_hand = temperature**2 * (p * (p.log() - q.log())).sum(1).mean()
    value = logit_kd(traced(student), PrecomputedKnowledge(teacher), batch(4), temperature=temperature)
    assert float(value) == pytest.approx(float(by_hand), rel=1e-5)


def test_at_high_temperature_the_gradient_is_the_centred_difference_of_logits(logits):
    """Hinton et al. 2015, equation 4: dL/dz_i -> (z_i - v_i) / C for zero-mean logits."""
    student, teacher = (x - x.mean(1, keepdim=True) for x in logits)
    student = student.clone().requires_grad_()
    logit_kd(traced(student), PrecomputedKnowledge(teacher), batch(4), temperature=1e3).backward()
    torch.testing.assert_close(student.grad, (student.detach() - teacher) / 3 / 4, atol=1e-3, rtol=1e-2)


def test_a_shift_of_all_logits_changes_nothing(logits):
    student, teacher = logits
    first = logit_kd(traced(student), PrecomputedKnowledge(teacher), batch(4))
    second = logit_kd(traced(student + 5), PrecomputedKnowledge(teacher - 3), batch(4))
    assert float(first) == pytest.approx(float(second), abs=1e-4)


def test_background_voxels_can_weigh_less():
    teacher = torch.zeros(1, 2, 12, 12)
    teacher[:, 0] = 3.0
    teacher[:, 1, 5:7, 5:7] = 9.0
    student = torch.randn(1, 2, 12, 12, generator=torch.Generator().manual_seed(0))
    p, q = teacher.softmax(1), student.softmax(1)
    divergence = (p * (p.log() - q.log())).sum(1)[0]
    near = torch.zeros(12, 12)
    near[4:8, 4:8] = 1
    weights = 0.1 + 0.9 * near
    by_hand = (divergence * weights).sum() / weights.sum()
    value = logit_kd(traced(student), PrecomputedKnowledge(teacher), batch(1), temperature=1.0, background=0.1, dilation=1)
    assert float(value) == pytest.approx(float(by_hand), rel=1e-5)


def test_two_dimensions_equal_three_of_depth_one():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 2, 6, 6, generator=generator), torch.randn(2, 2, 6, 6, generator=generator)
    flat = logit_kd(traced(student), PrecomputedKnowledge(teacher), batch(2), background=0.3, dilation=1)
    deep = logit_kd(traced(student[:, :, None]), PrecomputedKnowledge(teacher[:, :, None]), batch(2), background=0.3, dilation=1)
    assert float(flat) == pytest.approx(float(deep), rel=1e-6)

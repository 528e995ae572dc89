from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from medkd.distillation.binary_kd import binary_kd
from medkd.distillation.logit_kd import logit_kd
from medkd.trace import Sample, Trace
from tests.knowledge.precomputed import PrecomputedKnowledge


def traced(logits):
    return Trace(model=torch.nn.Identity(), inputs={"image": torch.zeros(len(logits), 1, 6, 6)}, outputs={"default": logits})


def batch(n):
    return Sample(inputs={"image": torch.zeros(n, 1, 6, 6)})


def drawn(*shape):
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(*shape, generator=generator), 3 * torch.randn(*shape, generator=generator)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_several_labels_are_as_many_coins(temperature):
    student, teacher = drawn(5, 4)
    coins = [Bernoulli(logits=x.double() / temperature) for x in (teacher, student)]
    by_hand = temperature**2 * kl_divergence(*coins).sum(1).mean()
    value = binary_kd(traced(student), PrecomputedKnowledge(teacher), batch(5), temperature=temperature)
    assert float(value) == pytest.approx(float(by_hand), rel=1e-5)


@pytest.mark.parametrize("shape", [(5, 2), (3, 2, 6, 6), (2, 2, 3, 4, 5)])
def test_two_classes_are_one_margin_and_give_what_soft_targets_give(shape):
    student, teacher = drawn(*shape)
    value = binary_kd(traced(student), PrecomputedKnowledge(teacher), batch(shape[0]))
    assert float(value) == pytest.approx(float(logit_kd(traced(student), PrecomputedKnowledge(teacher), batch(shape[0]))), rel=1e-4)


def test_certain_networks_do_not_overflow():
    student, teacher = torch.tensor([[-200.0, 0.0, 200.0]], requires_grad=True), torch.tensor([[200.0, 0.0, -200.0]])
    value = binary_kd(traced(student), PrecomputedKnowledge(teacher), batch(1), temperature=1.0)
    value.backward()
    assert float(value) == pytest.approx(400.0)
    assert bool(student.grad.isfinite().all())

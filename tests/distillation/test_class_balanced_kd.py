from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medkd.distillation.class_balanced_kd import class_balanced_kd
from medkd.trace import Sample, Trace
from tests.knowledge.precomputed import PrecomputedKnowledge


def traced(logits):
    return Trace(model=torch.nn.Identity(), inputs={"image": torch.zeros(len(logits), 1, 6, 6)}, outputs={"default": logits})


def example():
    """Return student and teacher logits [2, 3, 8, 8]; the teacher answers classes 0 and 2 in the first case, 0 alone in the second."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, 3, 8, 8, generator=generator) for _ in range(2))
    teacher[:, 0] += 8
    teacher[0, 2, 2:4, 2:5] += 20
    return student, teacher


def divergence(student, teacher):
    p, q = teacher.double().softmax(1), student.double().softmax(1)
    return (p * (p.log() - q.log())).sum(1)


def test_each_class_that_is_answered_counts_the_same():
    student, teacher = example()
    answer, each = teacher.argmax(1), divergence(student, teacher)
    first = torch.stack([each[0][answer[0] == 0].mean(), each[0][answer[0] == 2].mean()]).mean()
    by_hand = (first + each[1].mean()) / 2
    sample = Sample(inputs={"image": torch.zeros(2, 1, 8, 8)})
    value = class_balanced_kd(traced(student), PrecomputedKnowledge(teacher), sample, temperature=1.0)
    assert float(value) == pytest.approx(float(by_hand), rel=1e-5)


def test_voxels_that_are_not_valid_belong_to_no_class():
    student, teacher = example()
    valid = torch.ones(2, 8, 8, dtype=torch.bool)
    valid[0, 2:4, 2:5] = False
    valid[1] = False
    sample = replace(Sample(inputs={"image": torch.zeros(2, 1, 8, 8)}), valid_mask=valid)
    value = class_balanced_kd(traced(student), PrecomputedKnowledge(teacher), sample, temperature=1.0)
    assert float(value) == pytest.approx(float(divergence(student, teacher)[0][valid[0]].mean()), rel=1e-5)

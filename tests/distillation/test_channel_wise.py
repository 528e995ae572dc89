from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from medkd.distillation.channel_wise import channel_wise
from medkd.trace import Sample, trace
from tests.knowledge.precomputed import PrecomputedKnowledge


@pytest.fixture(params=["segmentation"])
def task(request):
    return request.param


def test_by_scipy_over_the_places_of_each_class(make_network, make_sample):
    student, sample = make_network(0, classes=3).eval(), make_sample(2, classes=3)
    kept, wanted = trace(student, sample.inputs), torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    value = channel_wise(kept, PrecomputedKnowledge(wanted), sample, temperature=2.0)
    total = 0.0
    levelled = [x.detach().double() - x.detach().double().mean(1, keepdim=True) for x in (wanted, kept.logits)]
    for case in range(2):
        for index in range(3):
            t, s = (log_softmax(x[case, index].numpy().ravel() / 2.0) for x in levelled)
            total += float((np.exp(t) * (t - s)).sum())
    assert float(value) == pytest.approx(4.0 * total / 3 / 2, rel=1e-4)


def test_a_constant_per_class_does_not_matter(make_network, make_sample):
    student, sample = make_network(0).eval(), make_sample(2)
    kept = trace(student, sample.inputs)
    shifted = kept.logits.detach() + torch.tensor([5.0, -3.0]).view(1, 2, 1, 1)
    assert float(channel_wise(kept, PrecomputedKnowledge(shifted), sample)) == pytest.approx(0, abs=1e-5)


def test_voxels_that_are_not_valid_do_not_count(make_network, make_sample):
    student, sample = make_network(0).eval(), make_sample(2)
    kept = trace(student, sample.inputs)
    valid = torch.ones(2, 32, 32, dtype=torch.bool)
    valid[..., 20:] = False
    wanted = torch.randn(2, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    changed = wanted.clone()
    changed[..., 20:] += 50
    held = Sample(inputs=sample.inputs, valid_mask=valid)
    first, second = (float(channel_wise(kept, PrecomputedKnowledge(w), held)) for w in (wanted, changed))
    assert first == pytest.approx(second, rel=1e-6)
    assert first != pytest.approx(float(channel_wise(kept, PrecomputedKnowledge(wanted), sample)), rel=1e-3)


def test_a_constant_per_voxel_does_not_matter(made_trace, draw):
    """It is what a knowledge store does not keep."""
    student_values, teacher_values, level = draw(2, 3, 8, 8, seed=1), draw(2, 3, 8, 8, seed=2), 5 * draw(2, 1, 8, 8, seed=3)
    sample = Sample(inputs={"image": torch.zeros(2, 1, 8, 8)})
    plain, moved = (
        channel_wise(made_trace(student_values), PrecomputedKnowledge(wanted), sample)
        for wanted in (teacher_values, teacher_values + level)
    )
    assert float(plain) == pytest.approx(float(moved), rel=1e-4)

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from data_contracts import DataError
from medkd.distillation.counterfactual_supervision import counterfactual_supervision
from medkd.trace import trace


@pytest.fixture(params=["classification"])
def task(request):
    return request.param


def test_by_hand(make_network, make_sample):
    student, sample = make_network(0).eval(), make_sample(3)
    value = counterfactual_supervision(trace(student, sample.inputs), None, sample, dilation=2, alone=0.5)
    total = 0.0
    for row in range(3):
        image = sample.image[row : row + 1]
        near = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
        near[..., 4 + row : 16 + row, 6:20] = True
        without, only = torch.where(near, image.mean(), image), torch.where(near, image, image.mean())
        with torch.no_grad():
            p, q = student(without).softmax(1)[0], student(only).softmax(1)[0]
        total += sum(0.5 * math.log(0.5 / float(p[c])) for c in range(2)) - 0.5 * math.log(float(q[int(sample.labels[row])]))
    assert float(value) == pytest.approx(total / 3, rel=1e-4)


def test_cases_without_a_mask_do_not_count(make_network, make_sample):
    student, sample = make_network(0).eval(), make_sample(4)
    some = sample.masks.clone()
    some[2:] = 0
    kept = trace(student, sample.inputs)
    first = replace(sample, weights=torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert float(counterfactual_supervision(kept, None, replace(sample, masks=some))) == pytest.approx(
        float(counterfactual_supervision(kept, None, first)), rel=1e-5
    )
    none = counterfactual_supervision(kept, None, replace(sample, masks=torch.zeros_like(some)))
    assert float(none) == 0


def test_without_masks_it_says_so(make_network, make_sample):
    sample = make_sample(2, masks=None)
    with pytest.raises(DataError) as caught:
        counterfactual_supervision(trace(make_network(0), sample.inputs), None, sample)
    assert caught.value.code == "MASKS_MISSING"

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from data_contracts import DataError
from medkd.attribution._attribute import attribute
from medkd.distillation.explanation_supervision import explanation_supervision
from medkd.targets import class_margin, lesion_margin
from medkd.trace import layer_map_of, trace


def traced(network, sample):
    return trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))


def test_it_is_the_share_of_squared_attribution_outside_the_lesion(make_network, make_sample, task):
    network, sample = make_network().eval(), make_sample(3)
    target = class_margin(sample.labels) if task == "classification" else lesion_margin(sample.masks)
    energy = attribute(network, sample.image, target, explainer="cam").square()
    by_hand = torch.stack([e[m == 0].sum() / e.sum() for e, m in zip(energy, sample.masks, strict=True)]).mean()
    assert float(explanation_supervision(traced(network, sample), None, sample, dilation=0)) == pytest.approx(float(by_hand), abs=1e-5)


def test_a_wider_region_costs_less(make_network, make_sample):
    network, sample = make_network().eval(), make_sample(3)
    values = [float(explanation_supervision(traced(network, sample), None, sample, dilation=d)) for d in (0, 2, 6)]
    assert values[0] >= values[1] >= values[2]
    assert values[0] > values[2]


def test_cases_without_a_mask_do_not_count(make_network, make_sample):
    network, sample = make_network().eval(), make_sample(2)
    masks = sample.masks.clone()
    masks[1] = 0
    mixed = explanation_supervision(traced(network, sample), None, replace(sample, masks=masks))
    first = replace(sample, inputs={"image": sample.image[:1]}, masks=sample.masks[:1], labels=sample.labels[:1])
    assert float(mixed) == pytest.approx(float(explanation_supervision(traced(network, first), None, first)), abs=1e-5)


def test_a_batch_without_masks_is_an_error(make_network, make_sample):
    sample = replace(make_sample(2), masks=None)
    with pytest.raises(DataError) as caught:
        explanation_supervision(traced(make_network(), sample), None, sample)
    assert caught.value.code == "MASKS_MISSING"

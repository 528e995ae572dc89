from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from medkd.attribution._attribute import attribute
from medkd.distillation.attribution_consistency import attribution_consistency
from medkd.targets import class_margin, lesion_margin
from medkd.trace import Sample, trace


def test_by_hand_with_the_reports_own_maps(make_network, make_sample, task):
    network, sample = make_network(0).eval(), make_sample(3)
    value = attribution_consistency(trace(network, sample.inputs), None, sample, grid=64)
    with torch.no_grad():
        answer = network(sample.image).argmax(1)
    here, there = (class_margin(answer), class_margin(answer)) if task == "classification" else (lesion_margin((answer > 0).byte()), lesion_margin((answer > 0).byte().flip(-1)))  # fmt: skip
    straight = attribute(network, sample.image, here, explainer="cam").flip(-1)
    mirrored = attribute(network, sample.image.flip(-1), there, explainer="cam")
    cosine = functional.cosine_similarity(straight.flatten(1).double(), mirrored.flatten(1).double(), dim=1)
    assert float(value) == pytest.approx(float((1 - cosine).mean()), abs=1e-4)
    assert float(value) > 1e-4


def test_a_symmetric_image_has_a_symmetric_map(make_network, make_sample):
    """The map of an image equal to its mirror image is explained twice alike; it costs only what the map itself is asymmetric."""
    network = make_network(0).eval()
    image = make_sample(2).image
    image = image + image.flip(-1)
    kept = trace(network, image, layers=(network.anatomy.cam_layer,))
    own = kept.feature(network.anatomy.cam_layer)
    asymmetric = float((own - own.flip(-1)).abs().max())
    assert (float(attribution_consistency(kept, None, Sample(inputs={"image": image}))) < 1e-6) is (asymmetric < 1e-6)


def test_a_batch_without_any_segmented_region_costs_nothing(make_network, make_sample, task):
    if task == "classification":
        pytest.skip("a classifier always answers")
    network, sample = make_network(0).eval(), make_sample(2)
    network.get_submodule(network.anatomy.head).bias.data[0] += 1e3
    assert float(attribution_consistency(trace(network, sample.inputs), None, sample)) == 0.0

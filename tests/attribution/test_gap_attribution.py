"""The gap's map: linear in what it explains, complete, and nothing of either network changes."""

import pytest
import torch

from medkd.attribution._attribute import attribute
from medkd.attribution.gap_attribution import Difference
from medkd.knowledge.gap import margin_gap
from medkd.targets import class_margin, lesion_margin
from medkd.trace import layer_map_of, trace_when_read


@pytest.fixture
def target(task, make_sample):
    sample = make_sample(3)
    return class_margin(torch.tensor([0, 1, 1])) if task == "classification" else lesion_margin(sample.masks)


def gap(teacher, student, images, target, steps=8):
    return attribute(student, images, target, explainer="gap_attribution", options={"teacher": teacher, "steps": steps})


def test_the_gaps_map_is_the_teachers_less_the_students(make_network, make_sample, target):
    """Integrated gradients are linear in what they explain."""
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    maps = [attribute(n, sample.image, target, explainer="integrated_gradients", options={"steps": 8}) for n in (teacher, student)]
    assert torch.allclose(gap(teacher, student, sample.image, target), maps[0] - maps[1], atol=1e-4)


def test_it_accounts_for_the_gap(make_network, make_sample, target):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    total = gap(teacher, student, sample.image, target, steps=128).flatten(1).sum(1)
    at_image, at_baseline = (margin_gap(teacher, student, images, target) for images in (sample.image, torch.full_like(sample.image, -1.0)))
    assert torch.allclose(total, at_image - at_baseline, atol=0.05 * float(at_image.abs().max()) + 1e-3)


def test_networks_are_left_as_they_were(make_network, make_sample, target):
    student, teacher, sample = make_network(0).train(), make_network(1).eval(), make_sample(3)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    gap(teacher, student, sample.image, target)
    assert student.training
    assert all(p.requires_grad for p in student.parameters())
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())


def test_layers_of_the_difference_are_found_where_it_says_they_are(make_network, make_sample):
    difference = Difference(make_network(1).eval(), make_network(0).eval())
    layer_map = layer_map_of(difference)
    read = trace_when_read(difference, make_sample(2).image, layers=(layer_map.cam_layer, layer_map.head, *layer_map.feature_layers))
    assert set(read.features) == {layer_map.cam_layer, layer_map.head, *layer_map.feature_layers}
    assert difference.get_submodule(layer_map.head) is difference.student.get_submodule(layer_map_of(difference.student).head)

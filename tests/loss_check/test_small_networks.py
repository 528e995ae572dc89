from __future__ import annotations

import pytest
import torch

from medkd.loss_check.small_networks import Setting, with_other_patients
from medkd.trace import trace


@pytest.mark.parametrize(("task", "space"), [("classification", 2), ("segmentation", 3)])
def test_a_teacher_knows_more_than_a_student_that_has_begun(task, space):
    setting = Setting(task, space)
    sample = setting.sample(50, 12)
    right = {}
    for name, network in (("teacher", setting.teacher()), ("untrained", setting.network(0))):
        with torch.no_grad():
            right[name] = float((network(sample.image).argmax(1) == sample.labels).float().mean())
    assert right["teacher"] > max(0.8, right["untrained"])


def test_layers_that_are_named_are_there():
    network = Setting("segmentation", 2).network(0)
    layers = (*network.layer_map.encoder_blocks(), network.layer_map.cam_layer, *network.layer_map.deep_heads)
    assert set(trace(network, Setting("segmentation", 2).sample(0).inputs, layers=layers).features) == set(layers)


def test_another_patients_teacher_answers_about_the_next_case_and_leaves_the_teacher_alone():
    setting = Setting("classification", 2)
    teacher, image = setting.teacher(), setting.sample(0).image
    other = with_other_patients(teacher)
    torch.testing.assert_close(other(image), teacher(image).roll(1, 0))
    assert "forward" not in vars(teacher)

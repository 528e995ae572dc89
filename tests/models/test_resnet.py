from __future__ import annotations

import torch

from data_contracts import NetworkSpec
from medkd.models._build import build_network, parameter_count
from medkd.trace import trace


def test_a_small_image_keeps_a_map_worth_explaining():
    network = build_network(NetworkSpec(builder="resnet")).eval()
    assert trace(network, torch.zeros(1, 1, 64, 64), layers=("layer4",)).feature("layer4").shape[2:] == (8, 8)


def test_the_student_of_the_demo_is_sixteen_times_smaller_than_its_teacher():
    teacher = build_network(NetworkSpec(builder="resnet", options={"channels": (16, 32, 64, 128)}))
    student = build_network(NetworkSpec(builder="resnet", options={"channels": (8, 16, 16, 24)}))
    assert (parameter_count(teacher), parameter_count(student)) == (307_728, 19_184)


def test_the_stem_can_halve_the_grid():
    network = build_network(NetworkSpec(builder="resnet", options={"stem_stride": 2, "stem_kernel": 5})).eval()
    assert trace(network, torch.zeros(1, 1, 128, 128), layers=("layer4",)).feature("layer4").shape[2:] == (8, 8)

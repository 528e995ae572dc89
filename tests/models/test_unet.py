from __future__ import annotations

import torch

from data_contracts import NetworkSpec
from medkd.attribution.cam import cam
from medkd.models._build import build_network, parameter_count
from medkd.targets import class_logit
from medkd.trace import trace


def test_the_student_of_the_demo_is_fifteen_times_smaller_than_its_teacher():
    teacher = build_network(NetworkSpec(builder="unet", options={"channels": (16, 32, 64, 128)}))
    student = build_network(NetworkSpec(builder="unet", options={"channels": (8, 16, 32)}))
    assert (parameter_count(teacher), parameter_count(student)) == (208_514, 13_666)


def test_the_head_reads_the_last_features_so_that_the_class_map_is_the_mean_logit_spread_over_voxels():
    network = build_network(NetworkSpec(builder="unet", options={"channels": (4, 8, 8)})).eval()
    kept = trace(network, torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)), layers=("features",))
    by_hand = kept.logits[:, 1] - network.head.bias[1]
    torch.testing.assert_close(cam(kept, class_logit(1)), by_hand.detach(), atol=1e-5, rtol=1e-4)

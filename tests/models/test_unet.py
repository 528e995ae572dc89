from __future__ import annotations

import pytest
import torch

from data_contracts import NetworkSpec, RecipeError
from medkd.attribution.cam import cam
from medkd.models._build import build_network, parameter_count
from medkd.targets import class_logit
from medkd.trace import layer_map_of, trace


def test_the_student_of_the_demo_is_fifteen_times_smaller_than_its_teacher():
    teacher = build_network(NetworkSpec(builder="unet", options={"channels": (16, 32, 64, 128)}))
    student = build_network(NetworkSpec(builder="unet", options={"channels": (8, 16, 32)}))
    assert (parameter_count(teacher), parameter_count(student)) == (208_514, 13_666)


def test_the_head_reads_the_last_features_so_that_the_class_map_is_the_mean_logit_spread_over_voxels():
    network = build_network(NetworkSpec(builder="unet", options={"channels": (4, 8, 8)})).eval()
    kept = trace(network, torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)), layers=("features",))
    by_hand = kept.logits[:, 1] - network.head.bias[1]
    torch.testing.assert_close(cam(kept, class_logit(1)), by_hand.detach(), atol=1e-5, rtol=1e-4)


def of_volumes(**options):
    return build_network(NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 8, 8), **options}), seed=2).eval()


def test_axes_are_halved_as_often_as_the_strides_say():
    network, image = of_volumes(strides=(1, 2, 2, 2, 2, 2)), torch.randn(1, 1, 6, 16, 12, generator=torch.Generator().manual_seed(0))
    bottom = layer_map_of(network).feature_layers[0]
    kept = trace(network, image, layers=(bottom, "features"))
    assert kept.features[bottom].shape == (1, 8, 3, 4, 3)
    assert kept.logits.shape == (1, 2, 6, 16, 12)
    by_hand = kept.logits[:, 1] - network.head.bias[1]
    torch.testing.assert_close(cam(kept, class_logit(1)), by_hand.detach(), atol=1e-5, rtol=1e-4)


def test_strides_of_two_along_every_axis_are_what_none_are():
    image = torch.randn(1, 1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    plain, said = of_volumes(), of_volumes(strides=(2,) * 6)
    assert list(plain.state_dict()) == list(said.state_dict())
    torch.testing.assert_close(plain(image), said(image), atol=0, rtol=0)


@pytest.mark.parametrize("strides", [(2, 2), (2,) * 9, (0, 2, 2, 2, 2, 2)])
def test_strides_that_fit_no_levels_are_refused(strides):
    with pytest.raises(RecipeError) as caught:
        of_volumes(strides=strides)
    assert caught.value.code == "RECIPE_NETWORK"

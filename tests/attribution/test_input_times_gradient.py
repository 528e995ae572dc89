"""Of a linear network it is its weight times how far each voxel is from no signal: complete by construction."""

import pytest
import torch

from medkd.attribution.input_times_gradient import input_times_gradient
from medkd.targets import MultiTarget, class_logit, class_margin
from medkd.trace import trace
from tests.attribution.networks import linear, margin_of


@pytest.mark.parametrize("size", [(8, 8), (4, 6, 5)])
def test_of_a_linear_network_it_is_weight_times_signal(size):
    network, weight = linear(size=size)
    image = torch.randn(2, 1, *size)
    found = input_times_gradient(trace(network, image), class_margin(2), baseline=-0.5)
    torch.testing.assert_close(found, margin_of(weight, 2) * (image[:, 0] + 0.5))


def test_several_classes_in_one_pass():
    network, weight = linear()
    image = torch.randn(2, 1, 8, 8)
    found = input_times_gradient(trace(network, image), MultiTarget((class_logit(0), class_logit(2))), baseline=0.0)
    torch.testing.assert_close(found, weight[[0, 2]] * image)

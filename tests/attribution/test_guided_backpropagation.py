"""By hand on one convolution; Captum is the oracle on a whole network."""

import pytest
import torch
from captum.attr import GuidedBackprop
from torch import nn
from torch.nn import functional

from data_contracts import ExplanationError
from medkd.attribution.guided_backpropagation import guided_backpropagation
from medkd.targets import class_logit, class_margin
from medkd.trace import trace
from tests.attribution.networks import OneConvolution, linear


def test_of_one_convolution_only_positive_gradients_pass_where_the_rectifier_is_open():
    network = OneConvolution().eval()
    image = torch.randn(2, 1, 6, 6)
    found = guided_backpropagation(trace(network, image), class_logit(1))
    with torch.no_grad():
        before = network.convolution(image)
        pull = (network.head.weight[1].clamp_min(0) / 36).view(1, -1, 1, 1) * (before > 0)
        expected = functional.conv_transpose2d(pull, network.convolution.weight, padding=1)
    torch.testing.assert_close(found, expected[:, 0])


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_it_is_captums(make_network, make_sample, task):
    if task == "segmentation":
        pytest.skip("captum is asked about a classifier")
    network, image = make_network().eval(), make_sample(2).image

    class Margin(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, images):
            return class_margin(1)(self.network(images))

    found = guided_backpropagation(trace(network, image), class_margin(1))
    teacher_values = GuidedBackprop(Margin()).attribute(image.clone().requires_grad_())
    torch.testing.assert_close(found, teacher_values[:, 0].detach(), atol=1e-6, rtol=1e-4)


def test_a_network_without_rectifiers_is_refused():
    network, _ = linear()
    with pytest.raises(ExplanationError) as caught:
        guided_backpropagation(trace(network, torch.randn(1, 1, 8, 8)), class_logit(0))
    assert caught.value.code == "NO_RECTIFIER"

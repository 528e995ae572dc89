"""Where all above the layer is linear, it is the layer's contribution, place by place; and sums to the score."""

import pytest
import torch

from medkd.attribution.hires_cam import hires_cam
from medkd.targets import class_logit, lesion_margin
from medkd.trace import trace
from tests.attribution.networks import OneConvolution


@pytest.mark.parametrize("space", [2, 3])
def test_of_one_convolution_it_is_weight_times_feature(space):
    network = OneConvolution(space).eval()
    image = torch.randn(2, 1, *(6,) * space)
    found = hires_cam(trace(network, image, layers=("features",)), class_logit(1))
    features = network.features(network.convolution(image)).detach()
    cells = features[0, 0].numel()
    expected = torch.einsum("f,bf...->b...", network.head.weight[1].detach(), features) / cells
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.flatten(1).sum(1), network(image)[:, 1].detach())


def test_a_lesion_gets_no_evidence_from_outside_of_it_at_a_head_of_single_voxels(make_network, make_sample, task):
    if task == "classification":
        pytest.skip("only a segmentation's head reads single voxels")
    sample = make_sample(2)
    found = hires_cam(trace(make_network().eval(), sample.image, layers=("features",)), lesion_margin(sample.masks))
    assert float(found[sample.masks == 0].abs().max()) == 0
    assert float(found[sample.masks > 0].abs().max()) > 0

"""Of a linear network the fall is the hidden window's contribution; Captum, with its own windows, is the oracle."""

import pytest
import torch
from captum.attr import Occlusion

from medkd.attribution.occlusion import occlusion, windows
from medkd.targets import class_margin
from medkd.trace import trace
from tests.attribution.networks import linear, margin_of


@pytest.mark.parametrize(("size", "cells"), [((8, 8), 4), ((7, 9), 3), ((4, 6, 5), 2), ((5, 5), 5)])
def test_windows_cover_every_voxel(size, cells):
    times = torch.zeros(size)
    for place in windows(size, cells):
        times[place] += 1
    assert int(times.min()) >= 1


def test_of_a_linear_network_it_is_the_mean_contribution_of_the_windows_over_a_voxel():
    network, weight = linear()
    image = torch.randn(1, 1, 8, 8)
    found = occlusion(trace(network, image), class_margin(0), cells=4, baseline=0.0)[0]
    contribution = margin_of(weight, 0) * image[0, 0]
    total, times = torch.zeros(8, 8), torch.zeros(8, 8)
    for row in range(7):
        for column in range(7):
            total[row : row + 2, column : column + 2] += contribution[row : row + 2, column : column + 2].sum()
            times[row : row + 2, column : column + 2] += 1
    torch.testing.assert_close(found, total / times, atol=1e-5, rtol=1e-4)


def test_it_is_captums(make_network, make_sample, task):
    if task == "segmentation":
        pytest.skip("captum is asked about a classifier")
    network, image = make_network().eval(), make_sample(2).image
    found = occlusion(trace(network, image), class_margin(1), cells=4)
    oracle = Occlusion(lambda images: class_margin(1)(network(images)))
    with torch.no_grad():
        teacher_values = oracle.attribute(image, sliding_window_shapes=(1, 8, 8), strides=(1, 4, 4), baselines=0.0)
    torch.testing.assert_close(found, teacher_values[:, 0].float(), atol=1e-5, rtol=1e-4)

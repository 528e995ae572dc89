"""Between two known ends: HiResCAM with windows of one cell, Grad-CAM with one window for all."""

import pytest
import torch

from medkd.attribution._attribute import attribute
from medkd.attribution.seg_xres_cam import _pooled
from medkd.targets import lesion_margin


@pytest.fixture
def task():
    return "segmentation"


@pytest.mark.parametrize(("window", "pool", "other"), [(1, "max", "hires_cam"), (1, "mean", "hires_cam"), (64, "mean", "grad_cam")])
def test_its_ends_are_known_methods(make_network, make_sample, window, pool, other):
    network, sample = make_network().eval(), make_sample(2)
    target = lesion_margin(sample.masks)
    found = attribute(network, sample.image, target, explainer="seg_xres_cam", options={"window": window, "pool": pool})
    torch.testing.assert_close(found, attribute(network, sample.image, target, explainer=other), atol=1e-5, rtol=1e-4)


def test_windows_that_do_not_divide_the_grid_are_cut():
    values = torch.arange(5.0).expand(1, 1, 5, 5)
    torch.testing.assert_close(_pooled(values, 2, "mean")[0, 0, 0], torch.tensor([0.5, 0.5, 2.5, 2.5, 4.0]))
    torch.testing.assert_close(_pooled(values, 2, "max")[0, 0, 0], torch.tensor([1.0, 1.0, 3.0, 3.0, 4.0]))

"""Of a linear network the slopes are known: what each region contributes, but for the ridge."""

import torch

from medkd.attribution._hide import supervoxels
from medkd.attribution.lime import lime
from medkd.targets import MultiTarget, class_logit
from medkd.trace import trace
from tests.attribution.networks import linear


def test_of_a_linear_network_slopes_are_contributions():
    network, weight = linear(size=(16, 16))
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    found = lime(trace(network, image), MultiTarget((class_logit(0), class_logit(1))), players=9, samples=400, ridge=1e-6, baseline=0.0)
    regions = supervoxels(image[0], 9)
    for index in range(2):
        for region in range(int(regions.max()) + 1):
            inside = regions == region
            expected = float((weight[index] * image[0, 0])[inside].sum())
            torch.testing.assert_close(float(found[0, index][inside].sum()), expected, atol=1e-2, rtol=1e-2)


def test_a_ridge_shrinks_slopes():
    network, _ = linear(size=(16, 16))
    image = torch.rand(1, 1, 16, 16)
    sizes = []
    for ridge in (1e-6, 10.0, 1000.0):
        torch.manual_seed(0)
        sizes.append(float(lime(trace(network, image), class_logit(0), players=9, samples=100, ridge=ridge).abs().sum()))
    assert sizes == sorted(sizes, reverse=True)

"""Known sums; and input times gradient of a linear network, which is complete from a baseline of zeros."""

import torch

from medkd.measures.completeness import completeness


def test_relative_to_the_difference():
    maps = torch.ones(3, 2, 2)
    found = completeness(maps, torch.tensor([4.0, 5.0, 0.0]))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.2, float("nan")], dtype=torch.double), equal_nan=True)


def test_a_linear_network_is_accounted_for():
    generator = torch.Generator().manual_seed(0)
    weight, image = torch.randn(5, 5, generator=generator), torch.randn(2, 5, 5, generator=generator)
    assert float(completeness(weight * image, (weight * image).flatten(1).sum(1)).max()) < 1e-6

from __future__ import annotations

import pytest
import torch
from torch import nn

from medkd.attribution.integrated_gradients import integrated_gradients
from medkd.targets import class_logit
from medkd.trace import LayerMap, trace


class Quadratic(nn.Module):
    """Score of class 1 is the sum of w x^2: its integrated gradients are known in closed form."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight
        self.body = nn.Identity()
        self.layer_map = LayerMap(feature_layers=("body",), cam_layer="body", head="body")

    def forward(self, image):
        score = (self.weight * self.body(image) ** 2).flatten(1).sum(1)
        return torch.stack([-score, score], dim=1)


def test_a_quadratic_score_is_attributed_exactly():
    generator = torch.Generator().manual_seed(0)
    weight, image = torch.randn(1, 4, 4, generator=generator), torch.randn(2, 1, 4, 4, generator=generator)
    baseline = -1.0
    attribution = integrated_gradients(trace(Quadratic(weight), image), class_logit(1), steps=8, baseline=baseline)
    # The integral of 2 w (b + a (x - b)) (x - b) over a in [0, 1] is w (x^2 - b^2).
    torch.testing.assert_close(attribution, (weight * (image**2 - baseline**2)).sum(1), atol=1e-4, rtol=1e-4)


def test_chunks_do_not_change_the_map(make_network, make_sample, task):
    from medkd.targets import class_margin, lesion_margin

    network, sample = make_network().eval(), make_sample(2)
    target = class_margin(1) if task == "classification" else lesion_margin(sample.masks)
    kept = trace(network, sample.image)
    small, large = (integrated_gradients(kept, target, steps=8, chunk=chunk) for chunk in (2, 64))
    torch.testing.assert_close(small, large, atol=1e-5, rtol=1e-4)


def test_an_image_equal_to_the_baseline_gets_a_map_of_zeros(make_network, make_sample, task):
    from medkd.targets import class_margin, lesion_margin

    sample = make_sample(1)
    target = class_margin(1) if task == "classification" else lesion_margin(sample.masks)
    attribution = integrated_gradients(trace(make_network().eval(), torch.full((1, 1, 32, 32), -1.0)), target, steps=4)
    assert float(attribution.abs().max()) == 0.0


def test_without_enough_memory_it_goes_on_in_halves(make_network, make_sample, task):
    """The device of this test is too small for more than three images; the sum is the same and the next chunk is no larger."""
    from medkd.attribution._chunk import chunk_of, in_memory

    network, image, tried = make_network().eval(), make_sample(1).image, []

    def run(rows):
        tried.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("too many")
        return rows.double().sum()

    assert float(in_memory(network, image, torch.arange(8), run, torch.add)) == 28.0
    assert tried == [8, 4, 2, 2, 4, 2, 2]
    assert chunk_of(network, image) == 2
    with pytest.raises(torch.OutOfMemoryError):
        in_memory(network, image, torch.arange(1), lambda _: run(torch.arange(9)), torch.add)

"""Several teachers together: the mean of their probabilities, and no patient that one of them saw."""

from __future__ import annotations

import math

import pytest
import torch

from medkd.experiment.ensemble import mean_log_probability


@pytest.mark.parametrize("space", [(), (4, 5), (2, 3, 4)])
def test_the_mean_is_of_probabilities_and_normalised(space):
    logits = [torch.randn(3, 4, *space, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    found = mean_log_probability(logits).exp()
    assert torch.allclose(found, torch.stack([one.softmax(1) for one in logits]).mean(0), atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones_like(found[:, 0]), atol=1e-6)


def test_one_sure_network_does_not_make_the_others_zero():
    sure, unsure = torch.tensor([[80.0, -80.0]]), torch.tensor([[0.0, 0.0]])
    found = mean_log_probability([sure, unsure])
    assert found[0, 1] == pytest.approx(math.log(0.25))
    assert found.isfinite().all()

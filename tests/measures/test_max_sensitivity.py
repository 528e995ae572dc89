"""Against Captum on the same draws."""

import pytest
import torch
from captum.metrics import sensitivity_max

from medkd.measures._neighbours import Neighbours
from medkd.measures.max_sensitivity import max_sensitivity


def test_it_is_captums_on_the_same_draws():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(1, 1, 6, 6, generator=generator)
    image = torch.randn(2, 1, 6, 6, generator=generator)
    draws = 0.02 * torch.randn(5, 2, 1, 6, 6, generator=generator)

    def explain(given):
        x = given[0] if isinstance(given, tuple) else given
        return ((x**3) * weight,)  # Captum takes the cases of a tensor for inputs

    drawn = iter(draws)
    expected = sensitivity_max(explain, image, perturb_func=lambda x: x + next(drawn), n_perturb_samples=5, max_examples_per_batch=2)
    maps = torch.stack([explain(image + draw)[0][:, 0] for draw in draws], dim=1)
    found = max_sensitivity(explain(image)[0][:, 0], Neighbours(maps, draws.flatten(2).norm(dim=2).T))
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_a_map_of_zeros_has_none():
    assert bool(max_sensitivity(torch.zeros(1, 3, 3), Neighbours(torch.ones(1, 2, 3, 3), torch.ones(1, 2))).isnan().all())

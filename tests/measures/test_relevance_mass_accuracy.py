from __future__ import annotations

import pytest
import torch

from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy


def test_it_is_the_share_of_the_absolute_map():
    attribution = torch.tensor([[[1.0, -3.0], [0.0, 4.0]]])
    mask = torch.tensor([[[0, 1], [0, 1]]])
    assert float(relevance_mass_accuracy(attribution, mask)) == pytest.approx(7 / 8)


def test_an_even_map_scores_the_lesions_share_of_the_image():
    mask = torch.zeros(1, 10, 10, dtype=torch.uint8)
    mask[:, :3, :4] = 1
    assert float(relevance_mass_accuracy(torch.full((1, 10, 10), -2.0), mask)) == pytest.approx(0.12)


def test_a_map_of_zeros_is_undefined():
    assert bool(relevance_mass_accuracy(torch.zeros(1, 4, 4), torch.ones(1, 4, 4)).isnan().all())

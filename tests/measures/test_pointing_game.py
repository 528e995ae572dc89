from __future__ import annotations

import torch

from medkd.measures.pointing_game import pointing_game


def test_the_largest_value_decides_and_not_the_largest_magnitude():
    attribution = torch.tensor([[[2.0, -9.0], [0.0, 1.0]]])
    at_peak, at_trough = torch.tensor([[[1, 0], [0, 0]]]), torch.tensor([[[0, 1], [0, 0]]])
    assert float(pointing_game(attribution, at_peak)) == 1.0
    assert float(pointing_game(attribution, at_trough)) == 0.0


def test_ties_count_against_the_map():
    attribution = torch.tensor([[[2.0, 2.0], [0.0, 1.0]]])
    assert float(pointing_game(attribution, torch.tensor([[[1, 0], [0, 0]]]))) == 0.0
    assert float(pointing_game(attribution, torch.tensor([[[1, 1], [0, 0]]]))) == 1.0


def test_a_constant_map_points_nowhere():
    assert bool(pointing_game(torch.ones(1, 3, 3), torch.eye(3)[None]).isnan().all())

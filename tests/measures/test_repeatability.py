"""Trainings that agree, and trainings that say the same of every case."""

import torch

from medkd.measures.repeatability import repeatability

MAPS = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(0))


def test_trainings_that_agree_about_each_case_score_high():
    noisy = torch.stack([MAPS + 0.05 * torch.randn(MAPS.shape, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)], dim=1)
    assert float(repeatability(MAPS, noisy).min()) > 0.7


def test_one_map_for_all_cases_scores_nothing():
    same = MAPS[:1].expand(4, -1, -1)
    torch.testing.assert_close(repeatability(same, same[:, None]), torch.zeros(4, dtype=torch.double), atol=1e-6, rtol=0)


def test_a_single_case_has_nothing_to_be_compared_with():
    assert bool(repeatability(MAPS[:1], MAPS[:1, None]).isnan().all())

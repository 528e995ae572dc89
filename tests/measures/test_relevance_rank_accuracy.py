"""By hand, by chance, and with ties."""

import pytest
import torch

from medkd.measures.relevance_rank_accuracy import relevance_rank_accuracy


def test_by_hand():
    prediction = torch.tensor([[[5.0, 4.0], [3.0, -9.0]], [[0.0, 1.0], [2.0, 3.0]]])
    mask = torch.tensor([[[1, 0], [1, 0]], [[1, 1], [1, 0]]])
    assert relevance_rank_accuracy(prediction, mask).tolist() == pytest.approx([1 / 2, 2 / 3])


def test_a_map_that_is_the_mask_is_right_and_its_opposite_wrong():
    mask = (torch.rand(3, 8, 8, 4) > 0.8).to(torch.uint8)
    assert relevance_rank_accuracy(mask.float(), mask).tolist() == [1.0] * 3
    assert relevance_rank_accuracy(-mask.float(), mask).max() < 0.3


def test_a_random_map_scores_the_masks_share():
    mask = torch.zeros(40, 32, 32, dtype=torch.uint8)
    mask[:, :16] = 1
    found = relevance_rank_accuracy(torch.rand(40, 32, 32), mask)
    assert float(found.mean()) == pytest.approx(0.5, abs=0.02)

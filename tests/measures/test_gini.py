"""By its definition, the mean absolute difference of all pairs; signs do not count."""

import pytest
import torch

from medkd.measures.gini import gini


@pytest.mark.parametrize("space", [(7, 9), (3, 4, 5)])
def test_it_is_half_the_relative_mean_difference_of_all_pairs(space):
    prediction = torch.randn(4, *space, generator=torch.Generator().manual_seed(0))
    prediction[1] = prediction[1].abs()
    prediction[2] = -prediction[2].abs()
    prediction[3] = (prediction[3] * 2).round()
    expected = []
    for row in prediction.abs().double().flatten(1):
        expected.append(float((row[:, None] - row[None]).abs().mean() / (2 * row.mean())))
    assert gini(prediction).tolist() == pytest.approx(expected)


def test_its_ends():
    even, one = torch.ones(1, 10, 10), torch.zeros(1, 10, 10)
    one[0, 3, 3] = -2.0
    assert float(gini(even)[0]) == pytest.approx(0.0, abs=1e-9)
    assert float(gini(one)[0]) == pytest.approx(0.99)
    assert bool(gini(torch.zeros(1, 4, 4)).isnan().all())


def test_a_map_that_was_changed_is_sorted_again():
    prediction = torch.rand(1, 8, 8)
    before = float(gini(prediction)[0])
    prediction[0, 0, 0] = 1000.0
    assert float(gini(prediction)[0]) > before + 0.2

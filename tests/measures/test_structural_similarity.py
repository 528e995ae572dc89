"""scikit-image is the oracle away from the borders, which it treats otherwise."""

import pytest
import torch
from skimage.metrics import structural_similarity as oracle

from medkd.measures.structural_similarity import structural_similarity


def smooth(space, seed):
    generator = torch.Generator().manual_seed(seed)
    pool = torch.nn.functional.avg_pool2d if len(space) == 2 else torch.nn.functional.avg_pool3d
    values = pool(torch.randn(1, 1, *space, generator=generator), 3, stride=1, padding=1)[0]
    return values / values.abs().max()


@pytest.mark.parametrize("space", [(32, 40), (20, 24, 22)])
def test_it_is_that_of_scikit_image(space):
    first, other = smooth(space, 0), smooth(space, 1)
    second = (first + 0.3 * other) / (first + 0.3 * other).abs().max()
    _, whole = oracle(first[0].numpy(), second[0].numpy(), data_range=2.0, gaussian_weights=True, use_sample_covariance=False, full=True)
    inside = whole[(slice(5, -5),) * len(space)].mean()
    assert float(structural_similarity(first, second)[0]) == pytest.approx(inside, abs=0.01)


def test_units_do_not_count_and_a_map_is_like_itself():
    first = smooth((16, 16), 0)
    assert float(structural_similarity(first, 9 * first)[0]) == pytest.approx(1.0)
    assert float(structural_similarity(first, -first)[0]) < 0.7
    assert bool(structural_similarity(first, first * 0).isnan().all())


def test_short_axes_get_a_shorter_window():
    first = smooth((4, 24, 24), 3)
    assert float(structural_similarity(first, first)[0]) == pytest.approx(1.0)

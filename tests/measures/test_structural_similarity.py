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


@pytest.mark.parametrize("space", [(64, 50), (30, 26, 41)])
@pytest.mark.parametrize("at", [0, 9, -4])
def test_where_both_maps_are_zero_they_are_alike_without_being_looked_at(space, at):
    from monai.metrics.regression import SSIMMetric

    part = tuple(slice(at, at + 7 if at >= 0 else None) for _ in space)
    first, second = torch.zeros(2, *space), torch.zeros(2, *space)
    first[(slice(None), *part)] = smooth(space, 0)[(slice(None), *part)]
    second[(slice(None), *part)] = smooth(space, 1)[(slice(None), *part)]
    second[1, *(extent // 2 for extent in space)] = 2.0  # the cases differ in where something is
    metric = SSIMMetric(len(space), data_range=2.0, win_size=[min(11, extent) for extent in space], kernel_sigma=(1.5,) * len(space))
    scaled = [(one / one.abs().flatten(1).amax(1).reshape(-1, *(1,) * len(space)))[:, None] for one in (first, second)]
    torch.testing.assert_close(structural_similarity(first, second), metric._compute_tensor(*scaled)[:, 0].double(), atol=1e-6, rtol=1e-6)

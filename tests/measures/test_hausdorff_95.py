from __future__ import annotations

import pytest
import torch
from monai.metrics import compute_hausdorff_distance

from medkd.measures.hausdorff_95 import hausdorff_95


def blobs(seed, shape=(20, 22, 18)):
    noise = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.avg_pool3d(noise, 7, stride=1, padding=3)
    return (smooth > 0.02).to(torch.uint8)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.7, 1.3)])
def test_it_is_monais_where_both_structures_are_there(spacing):
    first, second = blobs(0), blobs(1)
    monai = compute_hausdorff_distance(first, second, include_background=True, percentile=95, spacing=spacing)
    assert float(hausdorff_95(first[0], second[0], spacing_mm=spacing)) == pytest.approx(float(monai), rel=1e-4)


def test_two_boxes_apart_are_as_far_as_they_are():
    first, second = torch.zeros(1, 30, 30), torch.zeros(1, 30, 30)
    first[0, 5:10, 5:10], second[0, 5:10, 15:20] = 1, 1
    assert float(hausdorff_95(first, second, spacing_mm=(1.0, 2.0))) == pytest.approx(20.0)


def test_a_missed_structure_never_scores_as_perfect():
    full, empty = torch.ones(1, 3, 4), torch.zeros(1, 3, 4)
    assert float(hausdorff_95(empty, full, spacing_mm=(2.0, 1.0))) == pytest.approx((36 + 16) ** 0.5)
    assert float(hausdorff_95(full, full)) == 0.0
    assert bool(hausdorff_95(empty, empty).isnan().all())
